// What the tests in a browser have in common.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

// env is a variable that must be set.
export const env = (name) => {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set`);
    process.exit(2);
  }
  return value;
};
export const url = env('PANDO_URL').replace(/\/$/, '');
export const key = env('PANDO_KEY');

function browserPath() {
  if (process.env.PANDO_CHROMIUM) return process.env.PANDO_CHROMIUM;
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    for (const dir of (process.env.PATH ?? '').split(delimiter)) {
      if (existsSync(join(dir, name))) return join(dir, name);
    }
  }
  console.error('no chromium in the PATH; install it with: apt-get install -y chromium');
  process.exit(2);
}

export const browser = await chromium.launch({
  executablePath: browserPath(),
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

// watch returns what goes wrong on a page from now on: errors, and requests to
// another host.
export function watch(page) {
  const wrong = [];
  page.on('pageerror', (err) => wrong.push(`error: ${err.message}`));
  page.on('console', (m) => {
    // Chromium reports every 4xx as an error; those are asked for below.
    if (m.type() === 'error' && !/Failed to load resource/.test(m.text())) wrong.push(`console: ${m.text()}`);
  });
  page.on('request', (r) => {
    if (!r.url().startsWith(`${url}/`)) wrong.push(`request to another host: ${r.url()}`);
  });
  return wrong;
}
