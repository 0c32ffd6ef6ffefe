package edge

import "net/http"

// Problem answers with err as the edge itself does.
func Problem(s *Server, w http.ResponseWriter, r *http.Request, err error) {
	s.problems.WriteProblem(w, r, err)
}
