package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/server"
)

// client speaks to the node that has the application's data folder.
type client struct {
	http *http.Client
	node *server.Node // opened for this command; nil when one runs already
	stop func() error
}

// handover is how long connect waits for a folder that is locked by a process
// that does not answer commands: a node that is just starting, or a command
// that is just ending.
const handover = 3 * time.Second

// connect finds the running node, or opens the application for this command.
// migrated says whether the command needs the store to fit the model. A running
// node is found even while the module files are broken.
func (r *root) connect(ctx context.Context, migrated bool) (*client, error) {
	data, err := server.DataFolder(r.dir, r.env)
	if err != nil {
		return nil, err
	}
	path := server.SocketPath(data)
	if err := server.TrustSocket(path); err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	c := &client{http: &http.Client{Transport: &http.Transport{DialContext: dial}}, stop: func() error { return nil }}
	for deadline := time.Now().Add(handover); ; {
		if conn, err := dial(ctx, "", ""); err == nil {
			return c, conn.Close()
		}
		c.node, err = server.Open(ctx, server.Options{Dir: r.dir, Env: r.env, Migrate: migrated, Go: r.opt.Go})
		var held *fault.Error
		if err == nil {
			break
		}
		if !errors.As(err, &held) || held.Code != fault.Conflict || time.Now().After(deadline) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
	if c.stop, err = c.node.Answer(ctx); err != nil {
		return nil, errors.Join(err, c.node.Close(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// close ends what connect opened.
func (c *client) close(ctx context.Context) error {
	c.http.CloseIdleConnections()
	if c.node == nil {
		return nil
	}
	return errors.Join(c.stop(), c.node.Close(ctx))
}

// with runs fn with a connected client.
func (r *root) with(ctx context.Context, migrated bool, fn func(*client) error) error {
	c, err := r.connect(ctx, migrated)
	if err != nil {
		return err
	}
	return errors.Join(fn(c), c.close(context.WithoutCancel(ctx)))
}

// call sends a command; the caller closes the body. A problem comes back as
// the fault that it was.
func (c *client) call(ctx context.Context, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path+"?"+query.Encode(), body)
	if err != nil {
		return nil, err
	}
	if _, form := body.(formBody); form {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fault.Wrap(err, fault.StoreUnavailable, "the running node did not answer").WithDetails("%s", err)
	}
	if res.StatusCode/100 == 2 {
		return res.Body, nil
	}
	defer func() { _ = res.Body.Close() }()
	var doc problem.Document
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the node answered with status %d", res.StatusCode)
	}
	return nil, faultOf(&doc)
}

func faultOf(doc *problem.Document) error {
	f := fault.New(fault.Code(doc.Code), "%s", doc.Message)
	if doc.Details != nil {
		f.Details = *doc.Details
	}
	if doc.Hint != nil {
		f.Hint = *doc.Hint
	}
	return f
}

// get decodes a command's JSON answer.
func (c *client) get(ctx context.Context, method, path string, query url.Values, into any) error {
	body, err := c.call(ctx, method, path, query, nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return json.NewDecoder(body).Decode(into)
}

// follow reads the events of a long command and returns its last one.
func follow(body io.ReadCloser, each func(*server.Event)) (*server.Event, error) {
	defer func() { _ = body.Close() }()
	sc := bufio.NewScanner(body)
	sc.Buffer(nil, 64<<20)
	var last *server.Event
	for sc.Scan() {
		ev := &server.Event{}
		if err := json.Unmarshal(sc.Bytes(), ev); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "the node's answer cannot be read")
		}
		each(ev)
		last = ev
	}
	if err := sc.Err(); err != nil {
		return nil, fault.Wrap(err, fault.StoreUnavailable, "the node went away before the command was done")
	}
	if last == nil {
		return nil, fault.New(fault.StoreUnavailable, "the node went away before the command was done")
	}
	if last.Error != nil {
		return last, faultOf(last.Error)
	}
	return last, nil
}
