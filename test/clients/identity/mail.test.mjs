// What goes by mail: codes, links, resets and changes of the address.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { address, after, fails, follow, mailTo, member, ok, passMails, password, url, visitor } from './app.mjs';

describe('one-time codes and links', () => {
  test('a code signs in, and makes the account where there is none', async () => {
    const email = address();
    const client = visitor();
    await ok(client.auth.signInWithOtp({ email, options: { data: { name: 'Ada' } } }));
    const { code } = await mailTo(email);
    const { session } = await ok(client.auth.verifyOtp({ email, token: code, type: 'email' }));
    assert.equal(session.user.user_metadata.name, 'Ada');
    assert.equal((await ok(client.auth.getClaims())).claims.amr[0].method, 'otp');
    await fails(visitor().auth.verifyOtp({ email, token: code, type: 'email' }), 'otp_expired', 403);
  });

  test('a link signs in once', async () => {
    const { email } = await member();
    await ok(visitor().auth.signInWithOtp({ email, options: { emailRedirectTo: after } }));
    const { link } = await mailTo(email);
    assert.equal((await fetch(link, { method: 'HEAD', redirect: 'manual' })).status, 200);
    const to = await follow(link);
    assert.equal(to.fragment.get('type'), 'magiclink');
    await ok(visitor().auth.getUser(to.fragment.get('access_token')));
    assert.equal((await follow(link)).fragment.get('error_code'), 'otp_expired');
  });

  test('the hash of a link verifies too, as pages made by a server do it', async () => {
    const { email } = await member();
    await ok(visitor().auth.signInWithOtp({ email }));
    const { link } = await mailTo(email);
    const client = visitor();
    const { session } = await ok(client.auth.verifyOtp({ token_hash: new URL(link).searchParams.get('token'), type: 'magiclink' }));
    assert.equal(session.user.email, email);
  });

  test('an unknown address gets the same answer and no account when none shall be made', async () => {
    const email = address();
    const unknown = await visitor().auth.signInWithOtp({ email, options: { shouldCreateUser: false } });
    const { email: known } = await member();
    const answer = await visitor().auth.signInWithOtp({ email: known, options: { shouldCreateUser: false } });
    assert.deepEqual(unknown, answer);
    await mailTo(known);
    await fails(visitor().auth.signInWithPassword({ email, password }), 'invalid_credentials', 400);
  });

  test('PKCE: the link brings a code that only this client can exchange', async () => {
    const { email } = await member();
    const client = visitor({ flowType: 'pkce' });
    await ok(client.auth.signInWithOtp({ email, options: { emailRedirectTo: after } }));
    const { link } = await mailTo(email);
    const to = await follow(link);
    const code = to.query.get('code');
    assert.ok(code, to.url.href);
    assert.equal(to.fragment.get('access_token'), null);
    const { session } = await ok(client.auth.exchangeCodeForSession(code));
    assert.equal(session.user.email, email);
  });

  test('PKCE: another verifier gets nothing and the code is spent', async () => {
    const { email } = await member();
    const client = visitor({ flowType: 'pkce' });
    await ok(client.auth.signInWithOtp({ email, options: { emailRedirectTo: after } }));
    const code = (await follow((await mailTo(email)).link)).query.get('code');
    const thief = visitor({ flowType: 'pkce' });
    await ok(thief.auth.signInWithOtp({ email: address(), options: { emailRedirectTo: after } }));
    await fails(thief.auth.exchangeCodeForSession(code), 'bad_code_verifier', 400);
    await fails(client.auth.exchangeCodeForSession(code), 'flow_state_not_found', 404);
  });

  test('a place that is not allowed is not led to', async () => {
    const { email } = await member();
    await ok(visitor().auth.signInWithOtp({ email, options: { emailRedirectTo: 'https://evil.example/after' } }));
    const to = await follow((await mailTo(email)).link);
    assert.notEqual(to.url.hostname, 'evil.example');
  });
});

describe('password reset', () => {
  test('the link signs in and the new password counts, the old one does not', async () => {
    const { email, session: old } = await member();
    const client = visitor();
    await ok(client.auth.resetPasswordForEmail(email, { redirectTo: after }));
    const to = await follow((await mailTo(email)).link);
    assert.equal(to.fragment.get('type'), 'recovery');
    await ok(client.auth.setSession({ access_token: to.fragment.get('access_token'), refresh_token: to.fragment.get('refresh_token') }));
    const fresh = 'an entirely new password';
    await ok(client.auth.updateUser({ password: fresh }));
    await fails(visitor().auth.signInWithPassword({ email, password }), 'invalid_credentials', 400);
    await ok(visitor().auth.signInWithPassword({ email, password: fresh }));
    await fails(visitor().auth.getUser(old.access_token), undefined, 400, 'AuthSessionMissingError');
  });

  test('PKCE: the client knows that it is a reset', async () => {
    const { email } = await member();
    const client = visitor({ flowType: 'pkce' });
    await ok(client.auth.resetPasswordForEmail(email, { redirectTo: after }));
    const code = (await follow((await mailTo(email)).link)).query.get('code');
    const { redirectType } = await ok(client.auth.exchangeCodeForSession(code));
    assert.equal(redirectType, 'recovery');
    await ok(client.auth.updateUser({ password: 'an entirely new password' }));
  });

  test('a known and an unknown address answer the same', async () => {
    const { email } = await member();
    const answers = await Promise.all([email, address()].map((e) => visitor().auth.resetPasswordForEmail(e)));
    assert.deepEqual(answers[0], answers[1]);
    assert.equal(answers[0].error, null);
    await mailTo(email);
  });
});

describe('the own account', () => {
  test('metadata merges, app_metadata is refused', async () => {
    const { client } = await member({ user_metadata: { a: 1, b: 2 } });
    const { user } = await ok(client.auth.updateUser({ data: { b: 3, c: { d: [1] } } }));
    assert.deepEqual([user.user_metadata.a, user.user_metadata.b, user.user_metadata.c], [1, 3, { d: [1] }]);
    const { session } = await ok(client.auth.getSession());
    const answer = await fetch(`${url}/auth/v1/user`, {
      method: 'PUT', headers: { apikey: process.env.PANDO_PUBLISHABLE, authorization: `Bearer ${session.access_token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ app_metadata: { roles: ['admin'] }, role: 'service', id: '00000000-0000-7000-8000-000000000000' }),
    });
    assert.equal(answer.status, 403);
  });

  test('the same password again', async () => {
    const { client } = await member();
    await fails(client.auth.updateUser({ password }), 'same_password', 422);
  });

  test('reauthenticate mails a nonce, and the password changes with it', async () => {
    const { client, email } = await member();
    await ok(client.auth.reauthenticate());
    const { code } = await mailTo(email);
    await fails(client.auth.updateUser({ password: 'an entirely new password', nonce: code === '000000' ? '000001' : '000000' }), 'reauthentication_not_valid', 422);
    await ok(client.auth.updateUser({ password: 'an entirely new password', nonce: code }));
    await ok(visitor().auth.signInWithPassword({ email, password: 'an entirely new password' }));
  });

  test('a new address counts once both have confirmed it', async () => {
    const { client, email } = await member();
    const next = address('new');
    const { user } = await ok(client.auth.updateUser({ email: next }, { emailRedirectTo: after }));
    assert.equal(user.email, email);
    assert.equal(user.new_email, next);
    const first = await follow((await mailTo(email)).link);
    assert.ok(first.fragment.get('message'), first.url.href);
    await fails(visitor().auth.signInWithPassword({ email: next, password }), 'invalid_credentials', 400);
    await follow((await mailTo(next)).link);
    const { user: changed } = await ok(visitor().auth.signInWithPassword({ email: next, password }));
    assert.equal(changed.email, next);
    await passMails(email);
  });

  test("somebody else's address stays theirs, and nothing tells", async () => {
    const { email: taken } = await member();
    const { client } = await member();
    const { error } = await client.auth.updateUser({ email: taken });
    assert.ok(error === null || error.code === 'email_exists', error?.code);
    await ok(visitor().auth.signInWithPassword({ email: taken, password }));
  });
});
