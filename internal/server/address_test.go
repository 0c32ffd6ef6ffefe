package server

import (
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

func TestFindAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg          model.Config
		listen, want string
	}{
		{model.Config{Listen: "127.0.0.1:7263"}, "", "http://127.0.0.1:7263"},
		{model.Config{Listen: "127.0.0.1:7263"}, "0.0.0.0:80", "http://localhost:80"},
		{model.Config{Listen: ":80"}, "", "http://localhost:80"},
		{model.Config{Listen: "[::1]:80", TLS: model.TLS{Cert: "c"}}, "", "https://[::1]:80"},
		{model.Config{Listen: ":80", URL: "https://api.shop.example"}, "", "https://api.shop.example"},
	} {
		a, err := findAddress(t.Context(), &c.cfg, c.listen)
		if err != nil || a.url != c.want || a.listener != nil {
			t.Errorf("%+v: %+v, %v, want %s", c.cfg, a, err, c.want)
		}
	}
	a, err := findAddress(t.Context(), &model.Config{Listen: "127.0.0.1:0"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if a.listener == nil || a.url != "http://"+a.listener.Addr().String() || strings.HasSuffix(a.url, ":0") {
		t.Errorf("a free port makes %+v", a)
	}
	if err := a.close(); err != nil {
		t.Error(err)
	}
	if _, err := findAddress(t.Context(), &model.Config{Listen: "nonsense"}, ""); !fault.Is(err, fault.ConfigInvalid) {
		t.Errorf("no address: %v", err)
	}
}
