// Signing up and in, sessions and what ends them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { address, after, fails, follow, mailTo, member, ok, password, service, url, visitor } from './app.mjs';

describe('sign-up', () => {
  test('a link in the mail confirms the address, and then the password signs in', async () => {
    const email = address();
    const client = visitor();
    const { user, session } = await ok(client.auth.signUp({ email, password, options: { data: { name: 'Ada' }, emailRedirectTo: after } }));
    assert.equal(session, null);
    assert.equal(user.email, email);
    await fails(client.auth.signInWithPassword({ email, password }), 'email_not_confirmed', 400);

    const mail = await mailTo(email);
    assert.ok(mail.link.startsWith(`${url}/auth/v1/verify?`), mail.link);
    const to = await follow(mail.link);
    assert.equal(to.url.origin + to.url.pathname, after);
    assert.equal(to.fragment.get('type'), 'signup');
    assert.equal(to.fragment.get('token_type'), 'bearer');
    const byLink = visitor();
    const { session: linked } = await ok(byLink.auth.setSession({
      access_token: to.fragment.get('access_token'), refresh_token: to.fragment.get('refresh_token'),
    }));
    assert.equal(linked.user.email, email);

    const again = await follow(mail.link);
    assert.equal(again.fragment.get('error_code'), 'otp_expired');
    assert.equal(again.query.get('error'), 'access_denied');

    const data = await ok(client.auth.signInWithPassword({ email, password }));
    assert.equal(data.user.user_metadata.name, 'Ada');
    assert.deepEqual(data.user.app_metadata, { provider: 'email', providers: ['email'] });
    assert.equal(data.user.identities[0].provider, 'email');
    assert.equal(data.session.expires_in, 3600);
    assert.ok(data.user.email_confirmed_at && data.user.last_sign_in_at);
  });

  test('the code in the mail does too', async () => {
    const email = address();
    const client = visitor();
    await ok(client.auth.signUp({ email, password }));
    const mail = await mailTo(email);
    await fails(client.auth.verifyOtp({ email, token: mail.code === '000000' ? '000001' : '000000', type: 'signup' }), 'otp_expired', 403);
    const { session } = await ok(client.auth.verifyOtp({ email, token: mail.code, type: 'signup' }));
    assert.equal(session.user.email, email);
    await fails(visitor().auth.verifyOtp({ email, token: mail.code, type: 'signup' }), 'otp_expired', 403);
  });

  test('the mail can be sent again, and the first link ends', async () => {
    const email = address();
    const client = visitor();
    await ok(client.auth.signUp({ email, password, options: { emailRedirectTo: after } }));
    const first = await mailTo(email);
    await ok(client.auth.resend({ type: 'signup', email, options: { emailRedirectTo: after } }));
    const second = await mailTo(email);
    assert.notEqual(second.link, first.link);
    assert.equal((await follow(first.link)).fragment.get('error_code'), 'otp_expired');
    assert.ok((await follow(second.link)).fragment.get('access_token'));
  });

  test('a known address gets the same answer as an unknown one', async () => {
    const { email } = await member();
    const known = await ok(visitor().auth.signUp({ email, password: 'another long password' }));
    const unknown = await ok(visitor().auth.signUp({ email: address(), password: 'another long password' }));
    assert.deepEqual(Object.keys(known.user).sort(), Object.keys(unknown.user).sort());
    assert.equal(known.session, null);
    await ok(visitor().auth.signInWithPassword({ email, password }));
  });

  test('a short or well-known password is weak, with its reasons', async () => {
    const short = await fails(visitor().auth.signUp({ email: address(), password: 'short' }), 'weak_password', 422, 'AuthWeakPasswordError');
    assert.ok(short.reasons.includes('length'), JSON.stringify(short.reasons));
    const known = await fails(visitor().auth.signUp({ email: address(), password: 'passwordpassword' }), 'weak_password', 422, 'AuthWeakPasswordError');
    assert.ok(known.reasons.length > 0);
  });

  test('an address that is none', async () => {
    for (const email of ['nobody', 'a@b@c', `${'a'.repeat(320)}@example.com`, 'a@example.com\r\nBcc: b@example.com', 'аdа@example.com\u202e']) {
      const { error } = await visitor().auth.signUp({ email, password });
      assert.ok(['email_address_invalid', 'validation_failed'].includes(error?.code), `${email}: ${error?.code}`);
      assert.equal(error.status, 400);
    }
  });

  test('by phone: 422', async () => {
    await fails(visitor().auth.signUp({ phone: '+41790000000', password }), 'phone_provider_disabled', 422);
    await fails(visitor().auth.signInWithPassword({ phone: '+41790000000', password }), 'phone_provider_disabled', 422);
    await fails(visitor().auth.signInWithOtp({ phone: '+41790000000' }), 'phone_provider_disabled', 422);
  });
});

describe('sign-in', () => {
  test('a wrong password and an unknown address answer the same', async () => {
    const { email } = await member();
    const wrong = await fails(visitor().auth.signInWithPassword({ email, password: 'not the password at all' }), 'invalid_credentials', 400);
    const unknown = await fails(visitor().auth.signInWithPassword({ email: address(), password }), 'invalid_credentials', 400);
    assert.equal(wrong.message, unknown.message);
  });

  test('the address counts without its case', async () => {
    const { email } = await member();
    await ok(visitor().auth.signInWithPassword({ email: email.toUpperCase(), password }));
  });

  test('anonymously, and then with an address', async () => {
    const client = visitor();
    const { user, session } = await ok(client.auth.signInAnonymously({ options: { data: { theme: 'dark' } } }));
    assert.equal(user.is_anonymous, true);
    assert.equal(user.user_metadata.theme, 'dark');
    assert.ok(session.refresh_token);
    const email = address();
    await ok(client.auth.updateUser({ email }, { emailRedirectTo: after }));
    const mail = await mailTo(email);
    await follow(mail.link);
    const { session: later } = await ok(client.auth.refreshSession());
    assert.equal(later.user.id, user.id);
    assert.equal(later.user.email, email);
    assert.equal(later.user.is_anonymous, false);
  });

  test('what is not there answers 422 and its code', async () => {
    await fails(visitor().auth.signInWithSSO({ domain: 'example.com' }), 'saml_provider_disabled', 422);
    const { client } = await member();
    await fails(client.auth.mfa.enroll({ factorType: 'phone', phone: '+41790000000' }), 'mfa_phone_enroll_not_enabled', 422);
    await fails(client.auth.mfa.enroll({ factorType: 'webauthn', friendlyName: 'key' }), 'mfa_web_authn_enroll_not_enabled', 422);
  });
});

describe('sessions', () => {
  test('a refresh answers new tokens, and the old refresh token once more the new one', async () => {
    const { client, session } = await member();
    const { session: second } = await ok(client.auth.refreshSession());
    assert.notEqual(second.refresh_token, session.refresh_token);
    const { session: third } = await ok(visitor().auth.refreshSession({ refresh_token: session.refresh_token }));
    assert.equal(third.user.id, second.user.id);
    await ok(visitor().auth.getUser(third.access_token));
  });

  test('20 refreshes of one token at once all succeed and end in one session', async () => {
    const { session } = await member();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ok(visitor().auth.refreshSession({ refresh_token: session.refresh_token }))));
    const ids = new Set(answers.map((a) => JSON.parse(atob(a.session.access_token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))).session_id));
    assert.equal(ids.size, 1);
    const newest = answers.map((a) => a.session.refresh_token);
    await ok(visitor().auth.refreshSession({ refresh_token: newest[0] }));
  });

  test('an unknown refresh token', async () => {
    await fails(visitor().auth.refreshSession({ refresh_token: 'nonsense' }), 'refresh_token_not_found', 400);
  });

  test('claims are checked with the published keys', async () => {
    const { client, email, user } = await member();
    const { claims, header } = await ok(client.auth.getClaims());
    assert.equal(header.alg, 'ES256');
    assert.ok(header.kid);
    assert.deepEqual([claims.iss, claims.aud, claims.sub, claims.email, claims.role, claims.aal], [`${url}/auth/v1`, 'authenticated', user.id, email, 'authenticated', 'aal1']);
    assert.equal(claims.amr[0].method, 'password');
    assert.ok(claims.session_id && claims.exp - claims.iat === 3600);
    const keys = await (await fetch(`${url}/auth/v1/.well-known/jwks.json`)).json();
    const key = keys.keys.find((k) => k.kid === header.kid);
    assert.deepEqual([key.kty, key.crv, key.alg, key.d], ['EC', 'P-256', 'ES256', undefined]);
  });

  test('sign-out ends this session, the others, or all of them', async () => {
    const { email, client: first } = await member();
    const open = async () => {
      const client = visitor();
      const { session } = await ok(client.auth.signInWithPassword({ email, password }));
      return { client, session };
    };
    const token = (await first.auth.getSession()).data.session.access_token;
    const second = await open();
    const third = await open();

    await ok(second.client.auth.signOut({ scope: 'local' }).then((a) => ({ data: null, ...a })));
    await fails(visitor().auth.getUser(second.session.access_token), undefined, 400, 'AuthSessionMissingError');
    await fails(visitor().auth.refreshSession({ refresh_token: second.session.refresh_token }), 'refresh_token_not_found', 400);
    await ok(visitor().auth.getUser(token));

    await ok(third.client.auth.signOut({ scope: 'others' }).then((a) => ({ data: null, ...a })));
    await fails(visitor().auth.getUser(token), undefined, 400, 'AuthSessionMissingError');
    await ok(third.client.auth.getUser());

    const fourth = await open();
    await ok(third.client.auth.signOut().then((a) => ({ data: null, ...a })));
    await fails(visitor().auth.getUser(fourth.session.access_token), undefined, 400, 'AuthSessionMissingError');
  });

  test('without a session', async () => {
    await fails(visitor().auth.getUser(), undefined, 400, 'AuthSessionMissingError');
    await fails(visitor().auth.updateUser({ data: {} }), undefined, 400, 'AuthSessionMissingError');
    const { error } = await visitor().auth.getUser('not.a.token');
    assert.equal(error.code, 'bad_jwt');
    assert.ok([401, 403].includes(error.status));
  });

  test('a service has no user', async () => {
    const { error } = await service().auth.getUser();
    assert.ok(error);
  });
});
