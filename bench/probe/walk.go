package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// walk follows Link: rel="next" and prints the path and query of the last page
// that it reached. Every page must hold rows.
func walk(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("walk", flag.ExitOnError)
	start := fs.String("url", "", "page 1")
	key := fs.String("key", "", "the API key")
	pages := fs.Int("pages", 10_000, "the page to reach")
	_ = fs.Parse(args) // exits on error
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	at, err := url.Parse(*start)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		next, err := page(ctx, at, *key)
		switch {
		case err != nil:
			return fmt.Errorf("page %d: %w", n, err)
		case n == *pages:
			_, err := fmt.Fprintln(out, at.RequestURI())
			return err
		case next == nil:
			return fmt.Errorf("page %d is the last", n)
		}
		at = next
	}
}

// page gives the URL of the page after at, nil after the last.
func page(ctx context.Context, at *url.URL, key string) (*url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Apikey", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: %.300s", resp.Status, body)
	}
	if len(body) < 10 {
		return nil, errors.New("it is empty")
	}
	link := regexp.MustCompile(`<([^>]*)>; *rel="?next"?`)
	for _, h := range resp.Header.Values("Link") {
		if m := link.FindStringSubmatch(h); m != nil {
			ref, err := url.Parse(m[1])
			if err != nil {
				return nil, err
			}
			return at.ResolveReference(ref), nil
		}
	}
	return nil, nil
}
