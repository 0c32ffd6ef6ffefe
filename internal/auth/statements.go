package auth

import "github.com/pandobase/pando/internal/store"

// statements are the SQL of this room's core, in one database's dialect.
type statements struct {
	userByID, userByEmail, userLock, userInsert, userUpdate, userDelete                                                                                           *store.Statement
	usersPage, usersCount                                                                                                                                         *store.Statement
	rolesOf, roleInsert, rolesDelete                                                                                                                              *store.Statement
	identitiesOf, identityBySubject, identityInsert, identityUpdate                                                                                               *store.Statement
	identityDelete, factorsOf                                                                                                                                     *store.Statement
	sessionByID, sessionInsert, sessionUpdate, sessionsEnd, sessionEnd                                                                                            *store.Statement
	refreshUse, refreshByHash, refreshInsert                                                                                                                      *store.Statement
	flowInsert                                                                                                                                                    *store.Statement
	sessionState, userState, clientState, keysRead, keyInsert, keyDelete, keyTouch                                                                                *store.Statement
	oneTimeReplace, oneTimeInsert, oneTimeTakeHash, oneTimeNewest, oneTimeOf, oneTimeRead, oneTimeTry, oneTimeDelete, oneTimeDrop, oneTimeConfirm, oneTimeExpired *store.Statement
	flowsDrop, flowsExpired, challengesExpired, sessionsExpired, refreshExpired                                                                                   *store.Statement
}

func newStatements(d store.Dialect) *statements {
	q := func(text string) *store.Statement { return sql(d, text) }
	return &statements{
		userByID:    q(`SELECT ` + userColumns + ` FROM {users} WHERE id = $1`),
		userByEmail: q(`SELECT ` + userColumns + ` FROM {users} WHERE email = $1`),
		userLock:    q(`UPDATE {users} SET updated_at = $2 WHERE id = $1 RETURNING ` + userColumns),
		userInsert: q(`INSERT INTO {users} (` + userColumns + `, failures)
			VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,0)`),
		userUpdate: q(`UPDATE {users} SET email = $2, phone = $3, email_confirmed_at = $4, last_sign_in_at = $5, app_metadata = $6,
			user_metadata = $7, is_anonymous = $8, banned_until = $9, created_at = $10, updated_at = $11, password = $12, new_email = $13,
			invited_at = $14, confirmation_sent_at = $15, recovery_sent_at = $16, email_change_sent_at = $17, reauthentication_sent_at = $18
			WHERE id = $1`),
		userDelete: q(`DELETE FROM {users} WHERE id = $1`),
		usersPage:  q(`SELECT ` + userColumns + ` FROM {users} ORDER BY created_at DESC, id DESC LIMIT $1 OFFSET $2`),
		usersCount: q(`SELECT count(*) FROM {users}`),

		rolesOf:     q(`SELECT role FROM {user_roles} WHERE user_id = $1 ORDER BY role`),
		roleInsert:  q(`INSERT INTO {user_roles} (id, user_id, role, created_at) VALUES ($1,$2,$3,$4)`),
		rolesDelete: q(`DELETE FROM {user_roles} WHERE user_id = $1`),

		identitiesOf:      q(`SELECT ` + identityColumns + ` FROM {identities} WHERE user_id = $1 ORDER BY created_at, id`),
		identityBySubject: q(`SELECT ` + identityColumns + ` FROM {identities} WHERE provider = $1 AND subject = $2`),
		identityInsert:    q(`INSERT INTO {identities} (` + identityColumns + `) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)`),
		identityUpdate: q(`UPDATE {identities} SET user_id = $2, provider = $3, subject = $4, email = $5, data = $6, last_sign_in_at = $7,
			created_at = $8, updated_at = $9 WHERE id = $1`),
		identityDelete: q(`DELETE FROM {identities} WHERE id = $1`),
		factorsOf: q(`SELECT id, friendly_name, kind, status, created_at, updated_at, last_challenged_at FROM {factors}
			WHERE user_id = $1 ORDER BY created_at, id`),

		sessionByID:   q(`SELECT ` + sessionColumns + ` FROM {sessions} WHERE id = $1`),
		sessionInsert: q(`INSERT INTO {sessions} (` + sessionColumns + `) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)`),
		sessionUpdate: q(`UPDATE {sessions} SET user_id = $2, aal = $3, amr = $4, factor_id = $5, ip = $6, user_agent = $7, refreshed_at = $8,
			expires_at = $9, created_at = $10, updated_at = $11 WHERE id = $1`),
		sessionsEnd: q(`DELETE FROM {sessions} WHERE user_id = $1 AND id <> $2`),
		sessionEnd:  q(`DELETE FROM {sessions} WHERE id = $1`),

		refreshUse:    q(`UPDATE {refresh_tokens} SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND revoked_at IS NULL RETURNING session_id`),
		refreshByHash: q(`SELECT session_id, used_at, revoked_at FROM {refresh_tokens} WHERE hash = $1`),
		refreshInsert: q(`INSERT INTO {refresh_tokens} (id, session_id, hash, parent, created_at) VALUES ($1,$2,$3,$4,$5)`),

		oneTimeReplace: q(`DELETE FROM {one_time_tokens} WHERE user_id = $1 AND purpose = $2`),
		oneTimeInsert: q(`INSERT INTO {one_time_tokens} (id, user_id, purpose, hash, code_hash, email, attempts, data, created_at, expires_at)
			VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)`),
		oneTimeTakeHash: q(`DELETE FROM {one_time_tokens} WHERE hash = $1 RETURNING ` + oneTimeColumns),
		oneTimeNewest:   q(`SELECT id FROM {one_time_tokens} WHERE email = $1 AND purpose = $2 ORDER BY created_at DESC, id DESC LIMIT 1`),
		oneTimeOf:       q(`SELECT id FROM {one_time_tokens} WHERE user_id = $1 AND purpose = $2`),
		oneTimeRead:     q(`SELECT ` + oneTimeColumns + ` FROM {one_time_tokens} WHERE user_id = $1 AND purpose = $2`),
		oneTimeTry:      q(`UPDATE {one_time_tokens} SET attempts = attempts + 1 WHERE id = $1 AND attempts < $2 RETURNING ` + oneTimeColumns),
		oneTimeDelete:   q(`DELETE FROM {one_time_tokens} WHERE id = $1`),
		oneTimeDrop:     q(`DELETE FROM {one_time_tokens} WHERE user_id = $1`),
		oneTimeConfirm:  q(`UPDATE {one_time_tokens} SET data = $3 WHERE user_id = $1 AND purpose = $2`),
		oneTimeExpired:  q(`DELETE FROM {one_time_tokens} WHERE expires_at <= $1`),

		flowsDrop:         q(`DELETE FROM {flows} WHERE user_id = $1`),
		flowsExpired:      q(`DELETE FROM {flows} WHERE expires_at <= $1`),
		challengesExpired: q(`DELETE FROM {challenges} WHERE expires_at <= $1`),
		sessionsExpired:   q(`DELETE FROM {sessions} WHERE expires_at <= $1`),
		refreshExpired:    q(`DELETE FROM {refresh_tokens} WHERE used_at <= $1`),

		sessionState: q(`SELECT u.app_metadata, u.banned_until, u.email, s.expires_at, s.aal FROM {sessions} s JOIN {users} u ON u.id = s.user_id
			WHERE s.id = $1 AND s.user_id = $2`),
		userState:   q(`SELECT app_metadata, banned_until, email, NULL, NULL FROM {users} WHERE id = $1`),
		clientState: q(`SELECT roles FROM {clients} WHERE id = $1 AND revoked_at IS NULL`),

		keysRead:  q(`SELECT id, algorithm, private, state, created_at, active_at, retired_at FROM {signing_keys} ORDER BY created_at, id`),
		keyInsert: q(`INSERT INTO {signing_keys} (id, algorithm, private, public, state, created_at, active_at, retired_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)`),
		keyDelete: q(`DELETE FROM {signing_keys} WHERE id = $1`),
		keyTouch:  q(`UPDATE {signing_keys} SET state = state WHERE id = $1`),

		flowInsert: q(`INSERT INTO {flows} (id, hash, kind, user_id, provider, data, created_at, expires_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)`),
	}
}
