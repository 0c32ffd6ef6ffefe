// The second factor: an authenticator's codes (TOTP).

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fails, member, ok, password, service, totp, visitor } from './app.mjs';

/** A member with a verified factor in a session of aal2. */
async function guarded() {
  const m = await member();
  const factor = await ok(m.client.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone', issuer: 'Notes' }));
  await ok(m.client.auth.mfa.challengeAndVerify({ factorId: factor.id, code: totp(factor.totp.secret) }));
  return { ...m, factor };
}

describe('TOTP', () => {
  test('enroll, challenge, verify: the session rises to aal2', async () => {
    const { client } = await member();
    const factor = await ok(client.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone', issuer: 'Notes' }));
    assert.equal(factor.type, 'totp');
    assert.equal(factor.friendly_name, 'phone');
    assert.match(factor.totp.uri, /^otpauth:\/\/totp\/Notes:/);
    assert.match(factor.totp.qr_code, /^data:image\/svg\+xml;utf-8,<svg/);
    assert.ok(factor.totp.uri.includes(factor.totp.secret));
    assert.deepEqual((await ok(client.auth.mfa.listFactors())).totp, []);

    const challenge = await ok(client.auth.mfa.challenge({ factorId: factor.id }));
    assert.equal(challenge.type, 'totp');
    assert.ok(challenge.expires_at > Date.now() / 1000);
    const right = totp(factor.totp.secret);
    const wrong = String((Number(right) + 1) % 1_000_000).padStart(6, '0');
    await fails(client.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, code: wrong }), 'mfa_verification_failed', 422);
    const verified = await ok(client.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, code: right }));
    assert.ok(verified.access_token && verified.refresh_token && verified.user);

    const level = await ok(client.auth.mfa.getAuthenticatorAssuranceLevel());
    assert.deepEqual([level.currentLevel, level.nextLevel], ['aal2', 'aal2']);
    assert.deepEqual(level.currentAuthenticationMethods.map((m) => m.method).sort(), ['password', 'totp']);
    const factors = await ok(client.auth.mfa.listFactors());
    assert.equal(factors.totp.length, 1);
    assert.equal(factors.totp[0].status, 'verified');
    const { session } = await ok(client.auth.refreshSession());
    assert.equal((await ok(client.auth.getClaims(session.access_token))).claims.aal, 'aal2');
  });

  test('a new session starts at aal1 and may not change the account', async () => {
    const { email, factor } = await guarded();
    const client = visitor();
    await ok(client.auth.signInWithPassword({ email, password }));
    const level = await ok(client.auth.mfa.getAuthenticatorAssuranceLevel());
    assert.deepEqual([level.currentLevel, level.nextLevel], ['aal1', 'aal2']);
    await fails(client.auth.updateUser({ password: 'an entirely new password' }), 'insufficient_aal', 403);
    await fails(client.auth.mfa.unenroll({ factorId: factor.id }), 'insufficient_aal', 403);
    await fails(client.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'second' }), 'insufficient_aal', 403);
  });

  test('a code counts once', async () => {
    const { email, factor } = await guarded();
    const client = visitor();
    await ok(client.auth.signInWithPassword({ email, password }));
    await fails(client.auth.mfa.challengeAndVerify({ factorId: factor.id, code: totp(factor.totp.secret) }), 'mfa_verification_failed', 422);
    // The next step's code is early by less than one step, and that is accepted.
    await ok(client.auth.mfa.challengeAndVerify({ factorId: factor.id, code: totp(factor.totp.secret, 1) }));
  });

  test("somebody else's factor is not there", async () => {
    const { factor } = await guarded();
    const { client } = await member();
    await fails(client.auth.mfa.challenge({ factorId: factor.id }), 'mfa_factor_not_found', 404);
    await fails(client.auth.mfa.unenroll({ factorId: factor.id }), 'mfa_factor_not_found', 404);
  });

  test('a factor is taken away by its user, or by an administrator', async () => {
    const mine = await guarded();
    assert.equal((await ok(mine.client.auth.mfa.unenroll({ factorId: mine.factor.id }))).id, mine.factor.id);
    assert.deepEqual((await ok(mine.client.auth.mfa.listFactors())).all, []);

    const lost = await guarded();
    const { factors } = await ok(service().auth.admin.mfa.listFactors({ userId: lost.user.id }));
    assert.deepEqual(factors.map((f) => [f.id, f.factor_type, f.status]), [[lost.factor.id, 'totp', 'verified']]);
    await ok(service().auth.admin.mfa.deleteFactor({ userId: lost.user.id, id: lost.factor.id }));
    const client = visitor();
    await ok(client.auth.signInWithPassword({ email: lost.email, password }));
    await ok(client.auth.updateUser({ data: { found: true } }));
  });
});
