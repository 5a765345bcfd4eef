package config

// Auth is what an endpoint's deliveries say in the header Authorization: one of
// its keys, or nothing.
type Auth struct {
	Bearer Secret `key:"bearer" form:"bearer" doc:"A token, sent as Bearer and the token."`
	Basic  *Basic `key:"basic" doc:"A user and a password, sent as Basic."`
}

// Basic is a user and a password.
type Basic struct {
	User     string `key:"user" required:"true" form:"user" doc:"Name of the user."`
	Password Secret `key:"password" required:"true" form:"secret" doc:"The user's password."`
}

// checkAuth sees that there are credentials where some are asked for: without
// them deliveries would be refused by the endpoint, one by one.
func (k *checker) checkAuth(a Auth, path string) {
	k.checkOne(path, "bearer", "basic")
	switch {
	case !k.given(path) || a.Basic != nil || !a.Bearer.Empty():
	case k.given(path + ".bearer"):
		k.add(path+".bearer", "is empty; set it, or remove auth")
	default:
		k.add(path, "says nothing; write bearer, or basic with user and password, or remove auth")
	}
}

// checkPair sees that a certificate and its key are both there.
func (k *checker) checkPair(t TLS, path string) {
	if (t.Cert == "") != t.Key.Empty() {
		k.add(path, "cert and key belong together; give both or neither")
	}
}
