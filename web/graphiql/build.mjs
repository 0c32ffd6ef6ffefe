// Bundles the page into the folder that is named, or into the one that the binary
// embeds. The same sources give the same bytes.
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const out = process.argv[2] ?? join(here, '../../internal/api/graphql/graphiql')

// The fonts that GraphiQL brings are three quarters of its style sheet; the page
// uses those of the system.
const noFonts = {
  name: 'no-fonts',
  setup(b) {
    b.onLoad({ filter: /\.css$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(/@font-face\s*\{[^}]*\}/g, ''), loader: 'css',
    }))
  },
}

mkdirSync(out, { recursive: true })
await build({
  entryPoints: { graphiql: join(here, 'main.jsx') },
  outdir: out, absWorkingDir: here, nodePaths: [join(here, 'node_modules')],
  bundle: true, minify: true, format: 'esm', target: 'es2022', jsx: 'automatic', charset: 'utf8', legalComments: 'none',
  define: { 'process.env.NODE_ENV': '"production"' },
  banner: { js: '/* GraphiQL, React, CodeMirror, GraphQL.js and what they depend on: MIT, see web/graphiql/package-lock.json. */' },
  plugins: [noFonts],
})
copyFileSync(join(here, 'index.html'), join(out, 'index.html'))
