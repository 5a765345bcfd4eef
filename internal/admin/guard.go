package admin

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
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

// authenticate finds out whose key the request has.
func (h *Handler) authenticate(r *http.Request) (Key, *problem) {
	text := presented(r.Header)
	if text == "" {
		return Key{}, refuse(keyMissing, "Send an API key as Authorization: Bearer KEY or X-API-KEY: KEY.")
	}
	failed := h.failures.of(peer(r), h.now())
	if wait := blocked(failed, h.now()); wait > 0 {
		return Key{}, &problem{code: tooManyFailures, retryAfter: wait, detail: "This address has sent too many wrong keys. Wait, and check the key."}
	}
	key, ok := find(*h.keys.Load(), text)
	if !ok {
		failed.AllowN(h.now(), 1)
		return Key{}, refuse(keyUnknown, "The API key is not one of this bridge's. Check it for missing characters, and admin.keys of the configuration.")
	}
	if stamp := r.Header.Get("X-Timestamp"); stamp != "" && !timely(stamp, h.now()) {
		return key, refuse(timestampExpired, "X-Timestamp is not in milliseconds within five minutes of now. Check the clock.")
	}
	return key, nil
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

// peer is the network that a request comes from: the address of IPv4, and of
// IPv6 the 64 bits that one customer has.
func peer(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := from.Addr().Unmap().WithZone("")
	if address.Is6() {
		network, _ := address.Prefix(64) // an address of 128 bits has that many
		return network.Addr()
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
