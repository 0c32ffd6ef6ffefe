package auth

// Redirect is where a flow leads back to: the place that was asked for if the
// application allows it, else the site, which may be empty. The site itself is
// allowed, exactly.
func (a *Auth) Redirect(asked string) string {
	l := a.live.Load()
	site := l.app.Config.Auth.Site
	if asked != "" && (asked == site || l.redirects.Allowed(asked)) {
		return asked
	}
	return site
}
