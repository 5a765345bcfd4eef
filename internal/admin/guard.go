package admin

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/jethook/jethook/internal/caller"
	"github.com/jethook/jethook/internal/managed"
)

// maxClockSkew is how far X-Timestamp may be off, where it is sent.
const maxClockSkew = 5 * time.Minute

// An address may fail so often at once, and then once in so long. Whoever has
// failed more often is not listened to, not even with the right key, or the
// limit would not slow down guessing.
const (
	failureBurst = 20
	failureEvery = 3 * time.Second
	// maxAddresses bounds the memory; the addresses beyond share one limit.
	maxAddresses = 10_000
)

// authenticate finds out whose key the request has, and whether it may be used so.
func (h *Handler) authenticate(r *http.Request) (Key, *problem) {
	text := presented(r.Header)
	if text == "" {
		return Key{}, refuse(keyMissing, "Send an API key as Authorization: Bearer KEY or X-API-KEY: KEY.")
	}
	from := h.caller(r)
	failed := h.failures.of(network(from), h.now())
	if wait := blocked(failed, h.now()); wait > 0 {
		return Key{}, &problem{code: tooManyFailures, retryAfter: wait, detail: "This address has sent too many wrong keys. Wait, and check the key."}
	}
	key, ok := find(h.all(), text)
	switch {
	case !ok, key.Deleted:
		failed.AllowN(h.now(), 1)
		if managed.Mistyped(text) {
			return Key{}, refuse(keyUnknown, "The API key is mistyped or cut off: its last characters do not fit the others.")
		}
		return Key{}, refuse(keyUnknown, "The API key is not one of this bridge's. Check it for missing characters, and admin.keys of the configuration.")
	case !key.Valid(h.now()):
		return key, refuse(keyExpired, "The API key has expired. Use the one that it was rolled to, or make another.")
	case len(key.Allow) > 0 && !caller.Within(key.Allow, from):
		return key, refuse(addressRefused, "The API key may not be used from this address. Behind a proxy, the proxy must be among listen.trusted_proxies.")
	case key.ReadOnly && r.Method != http.MethodGet && r.Method != http.MethodHead:
		return key, refuse(keyReadOnly, "The API key may read and change nothing. Use another one.")
	}
	if stamp := r.Header.Get("X-Timestamp"); stamp != "" && !timely(stamp, h.now()) {
		return key, refuse(timestampExpired, "X-Timestamp is not in milliseconds within five minutes of now. Check the clock.")
	}
	return key, nil
}

// caller is the address that a request comes from.
func (h *Handler) caller(r *http.Request) netip.Addr {
	return caller.Address(caller.Peer(r), r.Header["X-Forwarded-For"], h.config.TrustedProxies)
}

// presented is the key that the request has, or empty.
func presented(header http.Header) string {
	scheme, key, _ := strings.Cut(header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(key)
	}
	return header.Get("X-API-KEY")
}

func timely(stamp string, now time.Time) bool {
	ms, err := strconv.ParseInt(stamp, 10, 64)
	return err == nil && time.UnixMilli(ms).Sub(now).Abs() <= maxClockSkew
}

// network is that of an address, for the limit of wrong keys: the address of IPv4,
// and of IPv6 the 64 bits that one customer has.
func network(address netip.Addr) netip.Addr {
	if address.Is6() {
		prefix, _ := address.Prefix(64) // an address of 128 bits has that many
		return prefix.Addr()
	}
	return address
}

// failures limits how often an address may send a wrong key.
type failures struct {
	mu     sync.Mutex
	limits map[netip.Addr]*rate.Limiter
	rest   *rate.Limiter
}

func newFailures() *failures {
	return &failures{limits: make(map[netip.Addr]*rate.Limiter), rest: newFailureLimit()}
}

func newFailureLimit() *rate.Limiter { return rate.NewLimiter(rate.Every(failureEvery), failureBurst) }

// of returns the limit of an address. Those that have not failed for a while
// are forgotten when there are many.
func (f *failures) of(address netip.Addr, now time.Time) *rate.Limiter {
	f.mu.Lock()
	defer f.mu.Unlock()
	if limit, ok := f.limits[address]; ok {
		return limit
	}
	if len(f.limits) >= maxAddresses {
		for known, limit := range f.limits {
			if limit.TokensAt(now) >= failureBurst {
				delete(f.limits, known)
			}
		}
	}
	if len(f.limits) >= maxAddresses {
		return f.rest
	}
	limit := newFailureLimit()
	f.limits[address] = limit
	return limit
}

// blocked returns how long an address is not listened to.
func blocked(limit *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - limit.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return max(time.Duration(missing*float64(failureEvery)), time.Millisecond)
}
