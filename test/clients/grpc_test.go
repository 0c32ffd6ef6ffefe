package clients_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"
)

// The three tests below play one scenario, through clients that others have
// written: a category is made, read, listed, changed and removed, products are
// streamed, and a fault has its code and its reason.

// TestGRPCurl knows nothing of the application but what reflection tells.
func TestGRPCurl(t *testing.T) {
	bin := t.TempDir()
	install := exec.CommandContext(t.Context(), "go", "install", "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4")
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("grpcurl cannot be built here: %v\n%s", err, out)
	}
	host := strings.TrimPrefix(serveShop(t), "http://")
	const service = "pando.app.catalog.v1.CatalogService"
	run := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "grpcurl"), append([]string{"-plaintext", "-H", "apikey: " + key}, args...)...).CombinedOutput()
		return string(out), err
	}
	call := func(method, in string) map[string]any {
		t.Helper()
		out, err := run("-d", in, host, service+"/"+method)
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", method, in, err, out)
		}
		var answer map[string]any
		if err := json.Unmarshal([]byte(out), &answer); err != nil {
			t.Fatalf("%s: %v\n%s", method, err, out)
		}
		return answer
	}
	if out, err := run(host, "list"); err != nil || !strings.Contains(out, service+"\n") {
		t.Fatalf("the services are %s, %v", out, err)
	}
	if out, err := run(host, "describe", service+".UpdateCategories"); err != nil || !strings.Contains(out, "rpc UpdateCategories") {
		t.Fatalf("a method is described as %s, %v", out, err)
	}
	if out, err := run("-d", "{}", host, "grpc.health.v1.Health/Check"); err == nil || !strings.Contains(out, "does not expose service") {
		t.Errorf("reflection shows health, which it has no part in: %s", out) // it is called by clients that know it
	}
	made := call("CreateCategories", `{"row":{"slug":"grpcurl","name":"One"}}`)
	id, _ := made["id"].(string)
	if got := call("GetCategories", `{"id":"`+id+`"}`); got["name"] != "One" {
		t.Errorf("the row is %v", got)
	}
	if rows, _ := call("ListCategories", `{"filter":{"slug":{"eq":"grpcurl"}}}`)["rows"].([]any); len(rows) != 1 {
		t.Errorf("the list is %v", rows)
	}
	if got := call("UpdateCategories", `{"row":{"id":"`+id+`","name":"Two","slug":"other"},"update_mask":{"paths":["name"]}}`); got["name"] != "Two" || got["slug"] != "grpcurl" {
		t.Errorf("changed it is %v", got)
	}
	total := call("ListProducts", `{"page_size":1,"count":true}`)["total_size"]
	streamed, err := run("-d", `{"read_mask":{"paths":["sku"]}}`, host, service+"/StreamProducts")
	if n := strings.Count(streamed, `"sku"`); err != nil || n < 2 || json.Number(total.(string)) != json.Number(itoa(n)) {
		t.Errorf("%d products are streamed of %v, %v", n, total, err)
	}
	if out, err := run("-d", `{"row":{"slug":"grpcurl","name":"Again"}}`, host, service+"/CreateCategories"); err == nil || !strings.Contains(out, "AlreadyExists") || !strings.Contains(out, `"reason": "23505"`) {
		t.Errorf("a key that is taken: %v\n%s", err, out)
	}
	call("DeleteCategories", `{"id":"`+id+`"}`)
	if out, err := run("-d", `{"id":"`+id+`"}`, host, service+"/GetCategories"); err == nil || !strings.Contains(out, "NotFound") {
		t.Errorf("a row that is gone: %v\n%s", err, out)
	}
}

func itoa(n int) string {
	b, _ := json.Marshal(n) // a number
	return string(b)
}

// TestGRPCGo plays it through a client that protoc-gen-go and
// protoc-gen-connect-go make of `pando proto`.
func TestGRPCGo(t *testing.T) {
	bin, files := protoFiles(t, "../../examples/shop")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	const module, folder = "github.com/pandobase/pando/", "test/clients/testdata/grpc/generated/"
	param := "paths=import,module=" + strings.TrimSuffix(module, "/")
	for _, f := range files {
		if !strings.HasPrefix(f.Path(), "pando/") {
			continue
		}
		param += ",M" + f.Path() + "=" + module + folder + path.Dir(f.Path()) + ";" + path.Base(path.Dir(path.Dir(f.Path()))) + path.Base(path.Dir(f.Path()))
	}
	// What is generated is laid over the source, and never lies in it.
	overlay := map[string]string{}
	for _, plugin := range []string{"google.golang.org/protobuf/cmd/protoc-gen-go", "connectrpc.com/connect/cmd/protoc-gen-connect-go"} {
		exe := filepath.Join(t.TempDir(), path.Base(plugin))
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", exe, plugin).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", plugin, err, out)
		}
		for name, text := range generate(t, files, param, exe) {
			at := filepath.Join(t.TempDir(), "file.go")
			if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay[filepath.Join(root, filepath.FromSlash(name))] = at
		}
	}
	data, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(list, data, 0o600); err != nil {
		t.Fatal(err)
	}
	client := filepath.Join(t.TempDir(), "client")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", list, "-o", client, "./testdata/grpc").CombinedOutput(); err != nil {
		t.Fatalf("the client does not compile: %v\n%s", err, out)
	}
	url := serveBuilt(t, bin)
	for _, protocol := range []string{"grpc", "grpc-web", "connect", "connect-json"} {
		cmd := exec.CommandContext(t.Context(), client, protocol)
		cmd.Env = append(os.Environ(), "PANDO_URL="+url, "PANDO_KEY="+key)
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("the scenario has passed")) {
			t.Errorf("%s: %v\n%s", protocol, err, out)
		}
	}
}

// TestConnectWeb plays it through @connectrpc/connect-web, with messages that
// protoc-gen-es makes.
func TestConnectWeb(t *testing.T) {
	node := findNode(t)
	if _, err := os.Stat(filepath.Join("node_modules", "@connectrpc", "connect-web")); err != nil {
		t.Skip("connect-web is not installed; `make test` does it, or: npm ci --ignore-scripts --prefix test/clients")
	}
	bin, files := protoFiles(t, "../../examples/shop")
	dir, err := os.MkdirTemp("node_modules", ".pando-") //nolint:usetesting // Node looks for packages in the folders above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, text := range generate(t, files, "target=js,import_extension=js", node, filepath.Join("node_modules", "@bufbuild", "protoc-gen-es", "bin", "protoc-gen-es")) {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		t.Fatal(err)
	}
	play(t, node, "grpc/*.test.mjs", "PANDO_URL="+serveBuilt(t, bin), "PANDO_KEY="+key, "PANDO_GENERATED="+dir)
}

// TestBreaking holds what becomes of a module against buf's rules for wire and
// JSON: what is renamed, removed and added breaks no client, and the rules do find
// what would.
func TestBreaking(t *testing.T) {
	buf := filepath.Join("node_modules", ".bin", "buf")
	if _, err := os.Stat(buf); err != nil {
		t.Skip("buf is not installed; `make test` does it, or: npm ci --ignore-scripts --prefix test/clients")
	}
	node := findNode(t)
	bin := build(t)
	const before = `module: m
entities:
  notes: { fields: { title: text, gone: { type: int, optional: true }, kind: { type: enum, values: [a, b] } } }
operations: { put: { run: go, input: { n: int, old: { type: text, optional: true } }, output: { fields: { sum: int } } } }
`
	const after = `module: m
entities:
  notes: { fields: { more: { type: json, optional: true }, title: text, kind: { type: enum, values: [c, b] } } }
  others: { fields: { text: text } }
operations:
  put: { run: go, input: { added: { type: int, optional: true }, n: int }, output: { fields: { first: { type: int, optional: true }, sum: int } } }
  other: { run: go }
`
	app := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		to := filepath.Join(app, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pando := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), bin, append([]string{"-C", app}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("pando %v: %v\n%s", args, err, out)
		}
	}
	breaks := func(old, now string) (string, error) {
		out, err := exec.CommandContext(t.Context(), node, buf, "breaking", now, "--against", old, "--config", `{"version":"v2","breaking":{"use":["WIRE_JSON"]}}`).CombinedOutput()
		return string(out), err
	}
	old, now, careless := t.TempDir(), t.TempDir(), t.TempDir()
	write("pando.yaml", "app: m\n")
	write("functions/none.ts", "")
	write("modules/m.yaml", before)
	pando("check", "--lock")
	pando("proto", "--out", old)
	write("modules/m.yaml", after)
	pando("check", "--lock")
	pando("proto", "--out", now)
	if out, err := breaks(old, now); err != nil {
		t.Errorf("a change that breaks nobody is found to: %v\n%s", err, out)
	}
	if err := os.Remove(filepath.Join(app, "pando.lock")); err != nil {
		t.Fatal(err)
	}
	pando("proto", "--out", careless)
	if out, err := breaks(old, careless); err == nil || !strings.Contains(out, "changed type") {
		t.Errorf("without pando.lock numbers move, and the rules do not find it: %v\n%s", err, out)
	}
}

// protoFiles builds the binary, and compiles what `pando proto` writes of an
// application. The files come behind those that they import.
func protoFiles(t *testing.T, app string) (bin string, files []protoreflect.FileDescriptor) {
	t.Helper()
	bin = build(t)
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), bin, "-C", app, "proto", "--out", dir).CombinedOutput(); err != nil {
		t.Fatalf("pando proto: %v\n%s", err, out)
	}
	var names []string
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, name) // name lies in dir
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{dir}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		files = append(files, f)
	}
	for _, f := range compiled {
		add(f)
	}
	return bin, files
}

// generate has a plugin of protoc make source code: by its name.
func generate(t *testing.T, files []protoreflect.FileDescriptor, param string, plugin ...string) map[string]string {
	t.Helper()
	req := &pluginpb.CodeGeneratorRequest{Parameter: &param, CompilerVersion: &pluginpb.Version{Major: new(int32(5)), Minor: new(int32(29)), Patch: new(int32(0))}}
	for _, f := range files {
		req.ProtoFile = append(req.ProtoFile, protoutil.ProtoFromFileDescriptor(f))
		if strings.HasPrefix(f.Path(), "pando/") {
			req.FileToGenerate = append(req.FileToGenerate, f.Path())
			req.SourceFileDescriptors = append(req.SourceFileDescriptors, protoutil.ProtoFromFileDescriptor(f))
		}
	}
	in, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), plugin[0], plugin[1:]...)
	log := &bytes.Buffer{}
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), log
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", plugin, err, log)
	}
	var res pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &res); err != nil || res.GetError() != "" {
		t.Fatalf("%v: %v %s", plugin, err, res.GetError())
	}
	made := map[string]string{}
	for _, f := range res.GetFile() {
		made[f.GetName()] = f.GetContent()
	}
	return made
}
