package auth

import (
	"github.com/pandobase/pando/internal/store"
)

// flowStatements are the statements of flows, factors and clients.
type flowStatements struct {
	take *store.Statement

	factorInsert, factorByID, factorsOf, factorUpdate, factorDelete, factorsDelete, factorsDeleteUnverified *store.Statement

	challengeInsert, challengeByID, challengeTried, challengeDelete *store.Statement

	sessionsOfFactor, sessionsBelow, refreshOfSession, codesOfUser, flowsOfUser, identitiesDelete *store.Statement

	clientInsert, clientByID, clients, clientRevoke *store.Statement
}

const (
	factorColumns    = `id, user_id, kind, status, friendly_name, secret, last_step, failures, failed_at, created_at, updated_at, last_challenged_at`
	challengeColumns = `id, factor_id, session_id, ip, attempts, verified_at, created_at, expires_at`
	clientColumns    = `id, name, hash, roles, audiences, revoked_at, created_at`
)

func newFlowStatements(d store.Dialect) *flowStatements {
	st := func(text string) *store.Statement { return sql(d, text) }
	return &flowStatements{
		take: st(`DELETE FROM {flows} WHERE hash = $1 AND kind = $2 RETURNING id, user_id, provider, data, expires_at`),

		factorInsert:            st(`INSERT INTO {factors} (` + factorColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`),
		factorByID:              st(`SELECT ` + factorColumns + ` FROM {factors} WHERE id = $1`),
		factorsOf:               st(`SELECT ` + factorColumns + ` FROM {factors} WHERE user_id = $1 ORDER BY created_at, id`),
		factorUpdate:            st(`UPDATE {factors} SET status = $2, last_step = $3, failures = $4, failed_at = $5, updated_at = $6, last_challenged_at = $7 WHERE id = $1`),
		factorDelete:            st(`DELETE FROM {factors} WHERE id = $1`),
		factorsDelete:           st(`DELETE FROM {factors} WHERE user_id = $1`),
		factorsDeleteUnverified: st(`DELETE FROM {factors} WHERE user_id = $1 AND status = 'unverified' AND created_at < $2`),

		challengeInsert: st(`INSERT INTO {challenges} (` + challengeColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`),
		challengeByID:   st(`SELECT ` + challengeColumns + ` FROM {challenges} WHERE id = $1`),
		challengeTried:  st(`UPDATE {challenges} SET attempts = attempts + 1 WHERE id = $1`),
		challengeDelete: st(`DELETE FROM {challenges} WHERE id = $1`),

		sessionsOfFactor: st(`SELECT ` + sessionColumns + ` FROM {sessions} WHERE factor_id = $1`),
		sessionsBelow:    st(`DELETE FROM {sessions} WHERE user_id = $1 AND id <> $2 AND aal <> 'aal2'`),
		refreshOfSession: st(`DELETE FROM {refresh_tokens} WHERE session_id = $1`),
		codesOfUser:      st(`DELETE FROM {one_time_tokens} WHERE user_id = $1`),
		flowsOfUser:      st(`DELETE FROM {flows} WHERE user_id = $1`),
		identitiesDelete: st(`DELETE FROM {identities} WHERE user_id = $1`),

		clientInsert: st(`INSERT INTO {clients} (` + clientColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7)`),
		clientByID:   st(`SELECT ` + clientColumns + ` FROM {clients} WHERE id = $1`),
		clients:      st(`SELECT ` + clientColumns + ` FROM {clients} ORDER BY created_at, id`),
		clientRevoke: st(`UPDATE {clients} SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL`),
	}
}
