package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/pandobase/pando/internal/migrate"
)

// stages shows how far a migration is: a line for each part and each stage of
// it, and on a terminal a bar for those that write many rows.
type stages struct {
	*root

	title string // of the stage that was told last
	bar   *progressbar.ProgressBar
}

func (s *stages) tell(m *migrate.Progress) {
	st := m.Stage
	if st == nil {
		s.end()
		fmt.Fprintf(s.err, "part %d of %d: %s\n", m.Part, m.Of, strings.Join(m.Titles, "; "))
		return
	}
	if st.Title != s.title {
		s.end()
		s.title = st.Title
		fmt.Fprintf(s.err, "  %s\n", st.Title)
	}
	f, ok := s.err.(*os.File)
	if st.Total == 0 || !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	if s.bar == nil {
		s.bar = progressbar.NewOptions64(st.Total, progressbar.OptionSetWriter(f), progressbar.OptionSetDescription("  "+st.Title),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
	s.bar.ChangeMax64(st.Total)
	_ = s.bar.Set64(st.Done) // a bar that cannot be drawn harms nothing
}

// end takes the bar away.
func (s *stages) end() {
	if s.bar != nil {
		_ = s.bar.Finish()
		s.bar = nil
	}
	s.title = ""
}
