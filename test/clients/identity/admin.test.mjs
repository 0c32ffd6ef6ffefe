// What a server does with the secret key.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { address, after, fails, follow, mailTo, member, ok, password, service, url, visitor } from './app.mjs';

const admin = service().auth.admin;

describe('users', () => {
  test('create, get, update, delete', async () => {
    const email = address();
    const { user } = await ok(admin.createUser({ email, password, email_confirm: true, user_metadata: { name: 'Ada' }, app_metadata: { roles: ['staff'] } }));
    assert.deepEqual([user.email, user.user_metadata.name, user.app_metadata.roles], [email, 'Ada', ['staff']]);
    assert.ok(user.email_confirmed_at);
    await fails(admin.createUser({ email, password }), 'email_exists', 422);

    assert.deepEqual((await ok(admin.getUserById(user.id))).user, user);
    const { user: changed } = await ok(admin.updateUserById(user.id, { user_metadata: { age: 36 }, password: 'an entirely new password' }));
    assert.deepEqual(changed.user_metadata, { name: 'Ada', age: 36 });
    await ok(visitor().auth.signInWithPassword({ email, password: 'an entirely new password' }));

    await ok(admin.deleteUser(user.id));
    await fails(admin.getUserById(user.id), 'user_not_found', 404);
    await fails(visitor().auth.signInWithPassword({ email, password: 'an entirely new password' }), 'invalid_credentials', 400);
  });

  test('a deleted or banned user is refused at once', async () => {
    const gone = await member();
    await ok(admin.deleteUser(gone.user.id));
    assert.ok((await visitor().auth.getUser(gone.session.access_token)).error);
    assert.ok((await gone.client.auth.refreshSession()).error);

    const banned = await member();
    await ok(admin.updateUserById(banned.user.id, { ban_duration: '24h' }));
    await fails(visitor().auth.signInWithPassword({ email: banned.email, password }), 'user_banned', 403);
    assert.ok((await visitor().auth.getUser(banned.session.access_token)).error);
    assert.ok((await banned.client.auth.refreshSession()).error);
    await ok(admin.updateUserById(banned.user.id, { ban_duration: 'none' }));
    await ok(visitor().auth.signInWithPassword({ email: banned.email, password }));
  });

  test('pages', async () => {
    for (let i = 0; i < 5; i++) await ok(admin.createUser({ email: address('page') }));
    const first = await ok(admin.listUsers({ page: 1, perPage: 2 }));
    assert.equal(first.users.length, 2);
    assert.equal(first.nextPage, 2);
    assert.ok(first.total >= 5);
    const second = await ok(admin.listUsers({ page: 2, perPage: 2 }));
    assert.equal(new Set([...first.users, ...second.users].map((u) => u.id)).size, 4);
    const all = await ok(admin.listUsers({ perPage: 1000 }));
    assert.equal(all.users.length, all.total);
    assert.equal(all.nextPage, null);
    assert.equal(all.aud, 'authenticated');
  });

  test('invite: the mail lets somebody in who then sets a password', async () => {
    const email = address();
    const { user } = await ok(admin.inviteUserByEmail(email, { data: { team: 'a' }, redirectTo: after }));
    assert.ok(user.invited_at);
    const to = await follow((await mailTo(email)).link);
    assert.equal(to.fragment.get('type'), 'invite');
    const client = visitor();
    await ok(client.auth.setSession({ access_token: to.fragment.get('access_token'), refresh_token: to.fragment.get('refresh_token') }));
    const { user: joined } = await ok(client.auth.updateUser({ password }));
    assert.equal(joined.user_metadata.team, 'a');
    await ok(visitor().auth.signInWithPassword({ email, password }));
  });

  test('links without a mail', async () => {
    const { email } = await member();
    const { properties, user } = await ok(admin.generateLink({ type: 'magiclink', email, options: { redirectTo: after } }));
    assert.equal(user.email, email);
    assert.equal(properties.verification_type, 'magiclink');
    assert.equal(properties.redirect_to, after);
    assert.match(properties.email_otp, /^\d{6}$/);
    assert.ok(properties.action_link.startsWith(`${url}/auth/v1/verify?`));
    const client = visitor();
    const { session } = await ok(client.auth.verifyOtp({ token_hash: properties.hashed_token, type: 'magiclink' }));
    assert.equal(session.user.email, email);

    const fresh = address();
    const signup = await ok(admin.generateLink({ type: 'signup', email: fresh, password, options: { data: { a: 1 }, redirectTo: after } }));
    const to = await follow(signup.properties.action_link);
    assert.equal(to.fragment.get('type'), 'signup');
    const recovery = await ok(admin.generateLink({ type: 'recovery', email: fresh }));
    const { session: recovered } = await ok(visitor().auth.verifyOtp({ email: fresh, token: recovery.properties.email_otp, type: 'recovery' }));
    assert.equal(recovered.user.user_metadata.a, 1);
    await fails(admin.generateLink({ type: 'recovery', email: address() }), 'user_not_found', 404);
  });

  test('whoever has no secret key is no administrator', async () => {
    const { client, user } = await member();
    await fails(client.auth.admin.listUsers(), 'no_authorization', 401); // the admin client sends the publishable key
    const token = (await client.auth.getSession()).data.session.access_token;
    const answer = await fetch(`${url}/auth/v1/admin/users/${user.id}`, {
      method: 'PUT', body: JSON.stringify({ app_metadata: { roles: ['admin'] } }),
      headers: { apikey: process.env.PANDO_PUBLISHABLE, authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    });
    assert.deepEqual([answer.status, (await answer.json()).code], [403, 'not_admin']);
  });

  test('what is not there answers 422', async () => {
    await fails(admin.oauth.listClients(), 'oauth_server_disabled', 422);
    await fails(admin.createUser({ phone: '+41790000000', password }), 'phone_provider_disabled', 422);
  });
});
