package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"github.com/pandobase/pando/internal/fault"
)

// github is a GitHub: github.com, or a server of one's own, which has its API
// below its own address.
type github struct {
	provider *Provider
	endpoint oauth2.Endpoint
	api      string
}

func (p *Provider) github() github {
	base := strings.TrimSuffix(p.issuer.String(), "/")
	g := github{provider: p, api: base + "/api/v3", endpoint: oauth2.Endpoint{
		AuthURL: base + "/login/oauth/authorize", TokenURL: base + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams,
	}}
	if p.issuer.Host == "github.com" {
		g.api = "https://api.github.com"
	}
	return g
}

// profile asks who the access token's user is. The address is the primary one;
// GitHub says itself whether it is verified.
func (g github) profile(ctx context.Context, accessToken string) (*Profile, error) {
	var user struct {
		ID      int64  `json:"id"`
		Login   string `json:"login"`
		Name    string `json:"name"`
		Avatar  string `json:"avatar_url"`
		Profile string `json:"html_url"`
	}
	if err := g.get(ctx, "/user", accessToken, &user); err != nil {
		return nil, err
	}
	if user.ID <= 0 {
		return nil, fault.New(fault.AuthBadOAuthCallback, "%s does not tell who the user is", g.provider.name)
	}
	var emails []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := g.get(ctx, "/user/emails", accessToken, &emails); err != nil {
		return nil, err
	}
	claims := map[string]any{
		"sub": strconv.FormatInt(user.ID, 10), "iss": g.provider.issuer.String(), "name": user.Name,
		"preferred_username": user.Login, "picture": user.Avatar, "profile": user.Profile,
	}
	for _, e := range emails {
		if e.Primary {
			claims["email"], claims["email_verified"] = e.Email, e.Verified
			break
		}
	}
	return g.provider.profile(claims), nil
}

func (g github) get(ctx context.Context, path, accessToken string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.api+path, http.NoBody)
	if err != nil {
		return g.provider.unavailable(err)
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-Github-Api-Version", "2022-11-28")
	req.Header.Set("User-Agent", "pando")
	req.Header.Set("Authorization", "Bearer "+accessToken)
	resp, err := g.provider.reg.client.Do(req)
	if err != nil {
		return g.provider.unavailable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		cause := fmt.Errorf("%s answered %d", path, resp.StatusCode)
		if resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests {
			return g.provider.unavailable(cause)
		}
		return fault.Wrap(cause, fault.AuthBadOAuthCallback, "%s does not tell who the user is", g.provider.name).
			WithHint("the scopes read:user and user:email are needed")
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return g.provider.unavailable(fmt.Errorf("%s: %w", path, err))
	}
	return nil
}
