// Sign-in at an OpenID Connect provider: oidc-provider from npm, with its
// development pages filled in as a browser would.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after as afterAll, before, describe, test } from 'node:test';
import { Provider } from 'oidc-provider';
import { address, after, env, fails, member, ok, password, random, url, visitor } from './app.mjs';

const issuer = env('PANDO_IDP');
const native = `${after}/native`; // where an app on a phone gets its code
const accounts = new Map(); // what the provider knows of an account, by its name

let server;
before(async () => {
  const idp = new Provider(issuer, {
    clients: [{
      client_id: 'notes', client_secret: 'a-secret-of-the-notes-client',
      redirect_uris: [`${url}/auth/v1/callback`, native], grant_types: ['authorization_code'], response_types: ['code'],
    }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...accounts.get(id) }) }),
    cookies: { keys: ['of the test'] },
  });
  await new Promise((resolve) => {
    server = idp.listen(Number(new URL(issuer).port), '127.0.0.1', resolve);
  });
});
afterAll(() => new Promise((resolve) => {
  server.closeAllConnections();
  server.close(resolve);
}));

/** A browser: follows redirects and keeps each host's cookies. */
class Browser {
  jar = new Map();

  async ask(to, init = {}) {
    const { host } = new URL(to);
    const jar = this.jar.get(host) ?? new Map();
    this.jar.set(host, jar);
    const cookie = [...jar].map(([k, v]) => `${k}=${v}`).join('; ');
    const answer = await fetch(to, { ...init, redirect: 'manual', headers: { ...init.headers, ...(cookie && { cookie }) } });
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(';');
      const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
      if (value === '') jar.delete(name);
      else jar.set(name, value);
    }
    return answer;
  }

  /** Goes where a link leads, signs in as a name and agrees to everything, until the application is reached. */
  async go(to, name) {
    let init = {};
    for (let step = 0; step < 20; step++) {
      if (to.startsWith(after)) return new URL(to);
      const answer = await this.ask(to, init);
      init = {};
      if (answer.status >= 300 && answer.status < 400) {
        to = new URL(answer.headers.get('location'), to).href;
        continue;
      }
      const page = await answer.text();
      assert.equal(answer.status, 200, `${to}: ${page}`);
      const action = page.match(/<form[^>]*action="([^"]+)"/)[1];
      const prompt = page.match(/name="prompt" value="(\w+)"/)[1];
      to = new URL(action, to).href;
      init = {
        method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ prompt, login: name, password: 'x' }),
      };
    }
    throw new Error(`${to} leads nowhere`);
  }
}

let count = 0;
function account(claims) {
  const name = `account-${process.pid}-${++count}`;
  accounts.set(name, claims);
  return name;
}

const start = async (client, options = {}) => (await ok(client.auth.signInWithOAuth({ provider: 'example', options: { redirectTo: after, ...options } }))).url;

describe('sign-in at a provider', () => {
  test('implicit: the session comes in the fragment', async () => {
    const email = address('idp');
    const name = account({ email, email_verified: true, name: 'Ada' });
    const to = await new Browser().go(await start(visitor()), name);
    const fragment = new URLSearchParams(to.hash.slice(1));
    const { user } = await ok(visitor().auth.getUser(fragment.get('access_token')));
    assert.equal(user.email, email);
    assert.deepEqual(user.app_metadata, { provider: 'example', providers: ['example'] });
    assert.equal(user.identities[0].id, name);
    assert.equal(user.user_metadata.name, 'Ada');
    // The second time it is the same user.
    const again = await new Browser().go(await start(visitor()), name);
    const { user: same } = await ok(visitor().auth.getUser(new URLSearchParams(again.hash.slice(1)).get('access_token')));
    assert.equal(same.id, user.id);
  });

  test('PKCE: the client exchanges a code', async () => {
    const email = address('idp');
    const name = account({ email, email_verified: true });
    const client = visitor({ flowType: 'pkce' });
    const to = await new Browser().go(await start(client), name);
    assert.equal(to.hash, '');
    const { session } = await ok(client.auth.exchangeCodeForSession(to.searchParams.get('code')));
    assert.equal(session.user.email, email);
    assert.ok(session.provider_token);
    assert.equal((await ok(client.auth.getClaims())).claims.amr[0].method, 'oauth');
    await fails(visitor().auth.exchangeCodeForSession(to.searchParams.get('code')), 'validation_failed', 400); // without a verifier
  });

  test('an address that both sides have verified links to the account', async () => {
    const { email, user } = await member();
    const to = await new Browser().go(await start(visitor()), account({ email, email_verified: true }));
    const { user: linked } = await ok(visitor().auth.getUser(new URLSearchParams(to.hash.slice(1)).get('access_token')));
    assert.equal(linked.id, user.id);
    assert.deepEqual(linked.identities.map((i) => i.provider).sort(), ['email', 'example']);
  });

  test('an address that the provider has not verified takes no account over', async () => {
    const { email, user } = await member();
    const to = await new Browser().go(await start(visitor()), account({ email, email_verified: false }));
    const fragment = new URLSearchParams(to.hash.slice(1));
    if (fragment.get('access_token')) {
      const { user: other } = await ok(visitor().auth.getUser(fragment.get('access_token')));
      assert.notEqual(other.id, user.id);
      assert.notEqual(other.email, email);
    } else {
      assert.ok(fragment.get('error'), to.href);
    }
  });

  test('a signed-in user links a further account, and unlinks it', async () => {
    const { email, user } = await member();
    const client = visitor({ flowType: 'pkce' });
    await ok(client.auth.signInWithPassword({ email, password }));
    const name = account({ email: address('other'), email_verified: true });
    const { url: link } = await ok(client.auth.linkIdentity({ provider: 'example', options: { redirectTo: after } }));
    assert.ok(link.startsWith(issuer), link);
    const to = await new Browser().go(link, name);
    assert.deepEqual((await ok(client.auth.getUserIdentities())).identities.map((i) => i.provider), ['email']); // not before the exchange
    await ok(client.auth.exchangeCodeForSession(to.searchParams.get('code')));
    const { identities } = await ok(client.auth.getUserIdentities());
    assert.deepEqual(identities.map((i) => i.provider).sort(), ['email', 'example']);
    const signed = await new Browser().go(await start(visitor()), name);
    const { user: same } = await ok(visitor().auth.getUser(new URLSearchParams(signed.hash.slice(1)).get('access_token')));
    assert.equal(same.id, user.id);

    await ok(client.auth.unlinkIdentity(identities.find((i) => i.provider === 'example')));
    const { identities: left } = await ok(client.auth.getUserIdentities());
    assert.deepEqual(left.map((i) => i.provider), ['email']);
    await fails(client.auth.unlinkIdentity(left[0]), 'single_identity_not_deletable', 422);
  });

  test('who says no at the provider comes back with the reason', async () => {
    const browser = new Browser();
    let to = await start(visitor());
    let abort;
    while (!abort) {
      const answer = await browser.ask(to);
      if (answer.status === 200) abort = (await answer.text()).match(/href="([^"]+abort)"/)[1];
      else to = new URL(answer.headers.get('location'), to).href;
    }
    const end = await browser.go(new URL(abort, to).href, 'nobody');
    assert.equal(new URLSearchParams(end.hash.slice(1)).get('error'), 'access_denied');
  });

  test('a state counts once, and another one not at all', async () => {
    const browser = new Browser();
    const name = account({ email: address('idp'), email_verified: true });
    let callback;
    const ask = browser.ask.bind(browser);
    browser.ask = (to, init) => {
      if (to.startsWith(`${url}/auth/v1/callback`)) callback = to;
      return ask(to, init);
    };
    await browser.go(await start(visitor()), name);
    const replay = await fetch(callback, { redirect: 'manual' });
    assert.ok(replay.status >= 400 || /error=/.test(replay.headers.get('location')), `${replay.status}`);
    const forged = await fetch(`${url}/auth/v1/callback?code=x&state=forged`, { redirect: 'manual' });
    assert.equal(forged.status, 400);
    assert.equal((await forged.json()).code, 'bad_oauth_state');
  });

  test('another browser than the one that began gets nothing', async () => {
    const victim = new Browser();
    const name = account({ email: address('idp'), email_verified: true });
    let callback;
    const ask = victim.ask.bind(victim);
    victim.ask = (to, init) => {
      if (!to.startsWith(`${url}/auth/v1/callback`)) return ask(to, init);
      callback = to;
      throw new Error('the callback is followed elsewhere');
    };
    await assert.rejects(victim.go(await start(visitor()), name), /elsewhere/);
    const answer = await fetch(callback, { redirect: 'manual' });
    const to = answer.headers.get('location') ?? '';
    assert.ok(!/[?&#](access_token|code)=/.test(to), to);
    assert.ok(answer.status === 400 || /error=/.test(to), `${answer.status} ${to}`);
  });

  test('an ID token that an app got itself signs in', async () => {
    const email = address('native');
    const name = account({ email, email_verified: true });
    const nonce = random();
    const verifier = random() + random();
    const asked = new URLSearchParams({
      client_id: 'notes', response_type: 'code', scope: 'openid email', redirect_uri: native, state: random(),
      nonce: createHash('sha256').update(nonce).digest('hex'),
      code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
    });
    const to = await new Browser().go(`${issuer}/auth?${asked}`, name);
    const answer = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa('notes:a-secret-of-the-notes-client')}` },
      body: new URLSearchParams({ grant_type: 'authorization_code', code: to.searchParams.get('code'), redirect_uri: native, code_verifier: verifier }),
    });
    const tokens = await answer.json();
    assert.ok(tokens.id_token, JSON.stringify(tokens));
    const sign = (options) => visitor().auth.signInWithIdToken({ provider: 'example', token: tokens.id_token, access_token: tokens.access_token, nonce, ...options });
    const { user } = await ok(sign());
    assert.equal(user.email, email);
    assert.equal(user.identities[0].id, name);
    for (const wrong of [{ nonce: 'another' }, { nonce: undefined }, { token: `${tokens.id_token.slice(0, -4)}AAAA` }]) {
      const { error } = await sign(wrong);
      assert.ok(error && error.status >= 400 && error.status < 500, JSON.stringify(wrong));
    }
  });

  test('a provider that is not configured, and a place that is not allowed', async () => {
    const unknown = await fetch(`${url}/auth/v1/authorize?provider=google&redirect_to=${after}`, { redirect: 'manual' });
    assert.ok([400, 422].includes(unknown.status), `${unknown.status}`);
    const evil = await fetch(`${url}/auth/v1/authorize?provider=example&redirect_to=https://evil.example/`, { redirect: 'manual' });
    assert.ok(!(evil.headers.get('location') ?? '').startsWith('https://evil.example'), evil.headers.get('location'));
  });
});
