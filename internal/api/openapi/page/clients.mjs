// Which existing client speaks to this server from which language, with the
// lines that begin. docs/clients.md has the same text, and a test runs what can
// be run where it is tested.

const pascal = (name) => name.replace(/(^|_)([a-z])/g, (_, before, c) => c.toUpperCase());

/**
 * clients are the clients, each with what installs it and its lines, for a
 * server, an entity ({ module, name }) and a version of the API. The key is in
 * the variable key, or in PANDO_KEY.
 *   [{ language, client, install, lines }]
 */
export function clients(origin, entity, version = 'v1') {
  const all = every(origin, entity, version);
  return version === 'v1' ? all : all.filter((c) => !c.onlyV1);
}

function every(origin, { module, name }, version) {
  const rest = `${origin}/rest/${version}`;
  const plaintext = origin.startsWith('https:') ? '' : '-plaintext ';
  const method = `pando.app.${module}.${version}.${pascal(module)}Service/List${pascal(name)}`;
  return [
    {
      language: 'JavaScript', client: 'supabase-js', onlyV1: true, install: 'npm install @supabase/supabase-js',
      lines: [
        "import { createClient } from '@supabase/supabase-js'",
        `const client = createClient('${origin}', key)`,
        `const { data, error } = await client.from('${name}').select().limit(1)`,
      ],
    },
    ...(version === 'v1' ? [] : [{
      language: 'JavaScript', client: 'postgrest-js', install: 'npm install @supabase/postgrest-js',
      lines: [
        "import { PostgrestClient } from '@supabase/postgrest-js'",
        `const client = new PostgrestClient('${rest}', { headers: { apikey: key } })`,
        `const { data, error } = await client.from('${name}').select().limit(1)`,
      ],
    }]),
    {
      language: 'Python', client: 'postgrest-py', install: 'pip install postgrest',
      lines: [
        'from postgrest import SyncPostgrestClient',
        `client = SyncPostgrestClient("${rest}", headers={"apikey": key})`,
        `rows = client.from_("${name}").select("*").limit(1).execute().data`,
      ],
    },
    {
      language: 'Go', client: 'postgrest-go', install: 'go get github.com/supabase-community/postgrest-go',
      lines: [
        'import "github.com/supabase-community/postgrest-go"',
        `client := postgrest.NewClient("${rest}", "", map[string]string{"apikey": key})`,
        `data, _, err := client.From("${name}").Select("*", "", false).Limit(1, "").Execute()`,
      ],
    },
    {
      language: 'Dart', client: 'postgrest-dart', install: 'dart pub add postgrest',
      lines: [
        "import 'package:postgrest/postgrest.dart';",
        `final client = PostgrestClient('${rest}', headers: {'apikey': key});`,
        `final rows = await client.from('${name}').select().limit(1);`,
      ],
    },
    {
      language: 'Swift', client: 'supabase-swift', onlyV1: true, install: 'the package supabase/supabase-swift on GitHub, product Supabase',
      lines: [
        'import Supabase',
        `let client = SupabaseClient(supabaseURL: URL(string: "${origin}")!, supabaseKey: key)`,
        `let data = try await client.from("${name}").select().limit(1).execute().data`,
      ],
    },
    {
      language: 'Kotlin', client: 'supabase-kt', onlyV1: true, install: 'io.github.jan-tennert.supabase:postgrest-kt, and an engine of Ktor',
      lines: [
        'import io.github.jan.supabase.createSupabaseClient; import io.github.jan.supabase.postgrest.*',
        `val client = createSupabaseClient("${origin}", key) { install(Postgrest) }`,
        `val json = client.from("${name}").select { limit(1) }.data`,
      ],
    },
    {
      language: 'C#', client: 'postgrest-csharp', install: 'dotnet add package Supabase.Postgrest',
      lines: [
        'using Supabase.Postgrest;',
        `var client = new Client("${rest}", new ClientOptions { Headers = { ["apikey"] = key } });`,
        `var rows = await client.Table<Row>().Limit(1).Get(); // class Row : BaseModel, with [Table("${name}")]`,
      ],
    },
    {
      language: 'GraphQL', client: 'any client, such as graphql-request', install: 'npm install graphql graphql-request',
      lines: [
        "import { GraphQLClient } from 'graphql-request'",
        `const client = new GraphQLClient('${origin}/graphql/${version}', { headers: { apikey: key } })`,
        `const data = await client.request('{ ${module}_${name}(first: 1) { totalCount } }')`,
      ],
    },
    {
      language: 'Connect', client: 'connect, or curl', install: 'pando client go --out client, or pando proto and buf generate',
      lines: [
        'curl -H "apikey: $PANDO_KEY" -H "Content-Type: application/json" \\',
        `  -d '{"page_size": 1}' \\`,
        `  ${origin}/${method}`,
      ],
    },
    {
      language: 'gRPC', client: 'any client, such as grpcurl', install: 'go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest',
      lines: [
        `grpcurl ${plaintext}-H "apikey: $PANDO_KEY" \\`,
        `  -d '{"page_size": 1}' \\`,
        `  ${origin.replace(/^[a-z]+:\/\//, '')} ${method}`,
      ],
    },
  ];
}
