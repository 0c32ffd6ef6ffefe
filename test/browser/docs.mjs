// Opens the documentation page of a running server in Chromium and uses it as
// a person would. It prints what failed and exits with 1, or prints "ok".
//
//   PANDO_URL      the server, as http://127.0.0.1:7263 (required)
//   PANDO_KEY      a key that may read (required)
//   PANDO_ENTITY   module.entity that has rows; default: the first of the page
//   PANDO_CHROMIUM the browser's program; default: chromium or google-chrome of the PATH
//   PANDO_SHOTS    a folder for screenshots; default: none

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { browser, key, url, watch } from './browser.mjs';

const shot = async (page, name) => {
  if (process.env.PANDO_SHOTS) await page.screenshot({ path: join(process.env.PANDO_SHOTS, `${name}.png`), fullPage: true });
};

try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const wrong = watch(page);

  await asksForAKey(page);
  await refusesAWrongKey(page);
  await opens(page);
  await filters(page);
  const first = await showsAnEntity(page);
  await showsClients(page);
  await triesACall(page);
  await hidesTheKey(page);
  await showsProblems(page);
  await keepsTheKeyInTheTab(page, context, first);
  await worksInTheDark(page);
  assert.deepEqual(wrong, []);
  console.log('ok');
} catch (err) {
  console.error(err.stack ?? err);
  process.exitCode = 1;
} finally {
  await browser.close();
}

async function asksForAKey(page) {
  const response = await page.goto(`${url}/docs`);
  assert.equal(response.status(), 200);
  const policy = response.headers()['content-security-policy'] ?? '';
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:/);
  await page.getByLabel('API key').waitFor();
  assert.equal(await page.getByLabel('API key').getAttribute('type'), 'password');
  assert.equal(await page.getByRole('navigation').count(), 0, 'nothing is shown without a key');
  await shot(page, '1-gate');
}

async function refusesAWrongKey(page) {
  await page.getByLabel('API key').fill('not-a-key');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').waitFor();
  assert.notEqual(await page.getByRole('alert').textContent(), '');
  assert.equal(await page.getByRole('navigation').count(), 0);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, 'a wrong key is not kept');
}

async function opens(page) {
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Open' }).click();
  await page.getByRole('navigation', { name: 'Entities' }).waitFor();
  assert.ok(await page.locator('nav a').count() > 0, 'the page lists entities');
  await shot(page, '2-overview');
}

async function filters(page) {
  const all = await page.locator('nav a').count();
  await page.locator('#content h1').click(); // away from any field
  await page.keyboard.press('/');
  await page.keyboard.type('no such entity');
  assert.equal(await page.locator('nav a:visible').count(), 0);
  await page.getByRole('searchbox').fill('');
  assert.equal(await page.locator('nav a:visible').count(), all);
}

async function showsAnEntity(page) {
  let link = page.locator('nav a').first();
  if (process.env.PANDO_ENTITY) {
    const [module, entity] = process.env.PANDO_ENTITY.split('.');
    link = page.locator(`nav a[href="#/${module}/${entity}"]`);
  }
  const name = await link.textContent();
  await link.focus();
  await page.keyboard.press('Enter');
  await page.locator('table.fields').waitFor();
  assert.ok((await page.locator('#content h1').textContent()).endsWith(name));
  assert.ok(await page.locator('table.fields tbody tr').count() > 0, 'the fields are shown');
  const methods = await page.locator('.call .method').allTextContents();
  assert.deepEqual(methods.sort(), ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT']);
  assert.equal(await page.locator('.operation form').count(), 0, 'details are made when they are opened');
  return name;
}

async function showsClients(page) {
  await page.getByRole('link', { name: 'Clients', exact: true }).click();
  await page.getByRole('heading', { name: 'Clients', exact: true }).waitFor();
  const lines = await page.locator('#content pre').allTextContents();
  assert.equal(lines.length, 10);
  for (const text of lines) {
    assert.equal(text.split('\n').length, 3);
    assert.ok(text.includes(new URL(url).host), `${text} is of this server`);
  }
  await shot(page, '5-clients');
  await page.goBack();
  await page.locator('table.fields').waitFor();
}

async function triesACall(page) {
  const call = page.locator('details.call.get');
  await call.locator('summary').first().click();
  await call.getByRole('button', { name: 'Send GET' }).click();
  await call.locator('.status').waitFor();
  assert.match(await call.locator('.status').textContent(), /^20[06]\b/);
  const rows = JSON.parse(await call.locator('pre.answer').textContent());
  assert.ok(Array.isArray(rows) && rows.length > 0, 'try it shows rows');
  assert.ok(await call.locator('.headers tr').count() > 0, 'the headers are shown');
  await shot(page, '3-entity');
}

async function hidesTheKey(page) {
  const call = page.locator('details.call.get');
  const text = await page.evaluate(() => document.documentElement.outerHTML);
  assert.ok(!text.includes(key), 'the key is nowhere in the page');
  const lines = call.locator('.line code');
  assert.match(await lines.nth(0).textContent(), /-H "apikey: \$PANDO_KEY"/);
  assert.match(await lines.nth(1).textContent(), /createClient\('.*', process\.env\.PANDO_KEY\)[\s\S]*\.from\('/);
  await call.getByLabel('show my key').check();
  assert.ok((await lines.nth(0).textContent()).includes(key), 'it is shown when asked for');
  await call.getByLabel('show my key').uncheck();
  assert.ok(!(await lines.nth(0).textContent()).includes(key));
}

async function showsProblems(page) {
  const call = page.locator('details.call.delete');
  await call.locator('summary').first().click();
  await call.getByRole('button', { name: 'Send DELETE' }).click(); // without a filter: refused
  await call.locator('.status').waitFor();
  assert.match(await call.locator('.status').textContent(), /^4\d\d\b/);
  assert.match(await call.locator('pre.answer').textContent(), /"hint"/);
}

async function keepsTheKeyInTheTab(page, context, name) {
  await page.reload();
  await page.locator('table.fields').waitFor();
  assert.ok((await page.locator('#content h1').textContent()).endsWith(name), 'the address leads back to the entity');
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  assert.equal((await context.cookies()).length, 0);
  await page.getByRole('button', { name: 'Forget the key' }).click();
  await page.getByLabel('API key').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
}

async function worksInTheDark(page) {
  const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await back();
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.notEqual(await back(), light);
  await opens(page);
  await page.locator('details.call.get > summary').click();
  await shot(page, '4-dark');
}
