// Rows under policies, with the user's session of supabase-js.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { member, ok, service, visitor } from './app.mjs';

async function refused(query, status = 403) {
  const { error, status: got } = await query;
  assert.deepEqual([error?.code, got], ['42501', status], JSON.stringify(error));
}

describe('row policies', () => {
  test('a user sees and changes their own rows only', async () => {
    const ada = await member();
    const bob = await member();
    const [note] = await ok(ada.client.from('notes').insert({ text: 'from Ada' }).select());
    assert.equal(note.owner_id, ada.user.id);
    await ok(bob.client.from('notes').insert({ text: 'from Bob' }));

    assert.deepEqual((await ok(ada.client.from('notes').select('text'))).map((n) => n.text), ['from Ada']);
    assert.deepEqual(await ok(bob.client.from('notes').select().eq('id', note.id)), []);
    const { count } = await bob.client.from('notes').select('*', { count: 'exact', head: true });
    assert.equal(count, 1);
    assert.deepEqual(await ok(bob.client.from('notes').update({ text: 'mine' }).eq('id', note.id).select()), []);
    assert.deepEqual(await ok(bob.client.from('notes').delete().eq('id', note.id).select()), []);
    assert.equal((await ok(ada.client.from('notes').select().eq('id', note.id).single())).text, 'from Ada');
  });

  test("no row for somebody else, and none that is given away", async () => {
    const ada = await member();
    const bob = await member();
    await refused(ada.client.from('notes').insert({ text: 'x', owner_id: bob.user.id }));
    const [note] = await ok(ada.client.from('notes').insert({ text: 'x' }).select());
    await refused(ada.client.from('notes').update({ owner_id: bob.user.id }).eq('id', note.id));
    await refused(ada.client.from('notes').upsert({ id: note.id, text: 'y', owner_id: bob.user.id }));
  });

  test('a role from app_metadata counts within 5 s, one from user_metadata never', async () => {
    const ada = await member();
    const boss = await member({ user_metadata: { roles: ['staff'] } });
    await ok(ada.client.from('notes').insert({ text: 'x' }));
    await ok(boss.client.auth.updateUser({ data: { roles: ['staff'], app_metadata: { roles: ['staff'] } } }));
    assert.deepEqual(await ok(boss.client.from('notes').select()), []);

    await ok(service().auth.admin.updateUserById(boss.user.id, { app_metadata: { roles: ['admin'] } })); // admin inherits staff
    const end = Date.now() + 5000;
    let rows = [];
    while (rows.length === 0 && Date.now() < end) rows = await ok(boss.client.from('notes').select().eq('owner_id', ada.user.id));
    assert.equal(rows.length, 1);

    await ok(service().auth.admin.updateUserById(boss.user.id, { app_metadata: { roles: [] } }));
    const later = Date.now() + 5000;
    while (rows.length > 0 && Date.now() < later) rows = await ok(boss.client.from('notes').select().eq('owner_id', ada.user.id));
    assert.deepEqual(rows, []);
  });

  test('a signed-out session reads nothing within 5 s', async () => {
    const { client, session, user } = await member();
    await ok(client.from('notes').insert({ text: 'x' }));
    await ok(client.auth.signOut({ scope: 'global' }).then((a) => ({ data: null, ...a })));
    const url = `${process.env.PANDO_URL}/rest/v1/notes?owner_id=eq.${user.id}`;
    const ask = () => fetch(url, { headers: { apikey: process.env.PANDO_PUBLISHABLE, authorization: `Bearer ${session.access_token}` } });
    const end = Date.now() + 5000;
    let answer = await ask();
    while (answer.ok && Date.now() < end) answer = await ask();
    assert.ok([401, 403].includes(answer.status), `${answer.status}`);
  });

  test('the anonymous see nothing and write nothing', async () => {
    const ada = await member();
    await ok(ada.client.from('notes').insert({ text: 'x' }));
    assert.deepEqual(await ok(visitor().from('notes').select()), []);
    await refused(visitor().from('notes').insert({ text: 'x', owner_id: ada.user.id }), 401);
    assert.deepEqual(await ok(visitor().from('notes').delete().eq('owner_id', ada.user.id).select()), []);
  });

  test('users are read like rows: oneself, and nothing secret', async () => {
    const { client, user, email } = await member();
    await member();
    const { data, error } = await client.schema('auth').from('users').select();
    assert.equal(error, null, JSON.stringify(error));
    assert.deepEqual(data.map((u) => [u.id, u.email]), [[user.id, email]]);
    assert.equal('password' in data[0], false);
    assert.ok((await client.schema('auth').from('users').select('password')).error);
    assert.ok((await client.schema('auth').from('users').select().like('password', '$argon2id$%')).error);
    assert.ok((await client.schema('auth').from('users').update({ app_metadata: {} }).eq('id', user.id)).error);
  });
});
