// Opens GraphiQL of a running server in Chromium, gives it a key, and runs a query
// in it. It prints what failed and exits with 1, or prints "ok". The variables are
// those of docs.mjs, and PANDO_QUERY and PANDO_ANSWER: what is asked, and a text of
// the answer.

import assert from 'node:assert/strict';
import { browser, env, key, url, watch } from './browser.mjs';

try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  // Whatever is not of this server does not get out of the browser.
  await context.route((to) => !to.href.startsWith(`${url}/`), (route) => route.abort());
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const wrong = watch(page);
  await page.goto(`${url}/graphql`);

  const versions = page.locator('#caller select option');
  await versions.first().waitFor({ state: 'attached' });
  assert.deepEqual(await versions.allTextContents(), ['v1']);
  await page.fill('#caller input[name=key]', key);
  await page.locator('#caller input[name=key]').blur();

  const editor = page.locator('.graphiql-query-editor .CodeMirror').first();
  await editor.waitFor();
  await editor.click();
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(env('PANDO_QUERY'));
  await page.click('.graphiql-execute-button');
  const answer = page.locator('.result-window .CodeMirror-code');
  await answer.filter({ hasText: env('PANDO_ANSWER') }).waitFor();

  // The documentation shows the caller's schema, which introspection told.
  await page.click('button[aria-label="Show Documentation Explorer"]');
  await page.locator('.graphiql-doc-explorer').filter({ hasText: 'Query' }).waitFor();

  // The key is gone with the tab, and nowhere else.
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage)).then((kept) => kept.includes(key)), false);
  assert.deepEqual(wrong, []);
  console.log('ok');
} catch (err) {
  console.error(err.stack ?? err);
  process.exitCode = 1;
} finally {
  await browser.close();
}
