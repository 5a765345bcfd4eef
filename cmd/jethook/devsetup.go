package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/signature"
)

// devMark begins a file that dev may write over.
const devMark = "# Written by jethook dev, which writes it anew at every start.\n"

// devSetup is what the configuration of dev is made of. Its secrets are
// generated, and kept in its directory alone.
type devSetup struct {
	dir                     string
	ingest, admin, ops      string // addresses to listen on
	receiver                string // URL
	clink, stripe, standard config.Secret
	chipPrivate             config.Secret
	chipPublic              string
	endpoint                config.Secret // what deliveries are signed with
	apiKey                  config.Secret
	prodKey                 config.Secret // or the bridge would show one that finds nothing here
}

// newDevSetup generates the secrets.
func newDevSetup(dir string) (*devSetup, error) {
	d := &devSetup{dir: dir, apiKey: config.NewSecret("sk_test_" + rand.Text()), prodKey: config.NewSecret("sk_prod_" + rand.Text())}
	for _, secret := range []*config.Secret{&d.clink, &d.stripe, &d.standard, &d.endpoint} {
		text, err := signature.GenerateSecret(signature.HMACSHA256)
		if err != nil {
			return nil, err
		}
		*secret = config.NewSecret(text)
	}
	scheme := signature.CHIP()
	private, err := signature.GenerateSecret(scheme.Algorithm)
	if err != nil {
		return nil, err
	}
	key, err := signature.ParseSigningKey(scheme.Algorithm, scheme.KeyEncoding, private)
	if err != nil {
		return nil, err
	}
	if d.chipPublic, err = signature.PublicKey(key); err != nil {
		return nil, err
	}
	d.chipPrivate = config.NewSecret(private)
	return d, nil
}

func (d *devSetup) file() string    { return filepath.Join(d.dir, "jethook.yaml") }
func (d *devSetup) store() string   { return filepath.Join(d.dir, "store") }
func (d *devSetup) chipKey() string { return filepath.Join(d.dir, "chip-private.pem") }
func (d *devSetup) keyFile() string { return filepath.Join(d.dir, "api-key") }

// devTemplate retries soon, so that a retry is seen within seconds, and its
// streams are small, because their room is reserved at the start.
const devTemplate = devMark + `version: 1
listen:
  ingest: {{quote .Ingest}}
  admin: {{quote .Admin}}
  ops: {{quote .Ops}}
  drain_delay: 0s
nats:
  embedded: {store_dir: {{quote .Store}}, durability: power}
  stream: {max_bytes: 64MiB}
deliver:
  allow_networks: [127.0.0.0/8]
sources:
  - {name: clink, env: test, preset: clink, secrets: [{{quote .Clink.Reveal}}]}
  - {name: chip, env: test, preset: chip-collect, public_keys: [{{quote .ChipPublic}}]}
  - {name: stripe, env: test, preset: stripe, secrets: [{{quote .Stripe.Reveal}}]}
  - {name: standard, env: test, preset: standard-webhooks, secrets: [{{quote .Standard.Reveal}}]}
endpoints:
  - name: receiver
    env: test
    url: {{quote .Receiver}}
    all_events: true
    secrets: [{{quote .Endpoint.Reveal}}]
    retry: {initial: 1s, multiplier: 2, jitter: 0}
admin: {keys: [{{quote .APIKey.Reveal}}, {{quote .ProdKey.Reveal}}]}
log: {level: error}
`

// write writes the configuration, and CHIP's private key and the API key for
// other commands, readable by their owner alone. It does not touch what somebody else wrote.
func (d *devSetup) write() error {
	text, err := d.yaml()
	if err != nil {
		return err
	}
	old, err := os.ReadFile(d.file())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && !bytes.HasPrefix(old, []byte(devMark)) {
		return fmt.Errorf("%s was not written by jethook dev: name another directory with --data", d.file())
	}
	if err := os.WriteFile(d.file(), text, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(d.keyFile(), []byte(d.apiKey.Reveal()+"\n"), 0o600); err != nil {
		return err
	}
	return os.WriteFile(d.chipKey(), []byte(d.chipPrivate.Reveal()), 0o600)
}

func (d *devSetup) yaml() ([]byte, error) {
	quote := template.FuncMap{"quote": func(text string) string {
		// A double-quoted scalar of YAML knows Go's escapes; ${ would be expanded.
		return strconv.Quote(strings.ReplaceAll(text, "${", "$${"))
	}}
	page, err := template.New("jethook.yaml").Funcs(quote).Parse(devTemplate)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = page.Execute(&text, struct {
		Ingest, Admin, Ops, Store, Receiver, ChipPublic string
		Clink, Stripe, Standard, Endpoint               config.Secret
		APIKey, ProdKey                                 config.Secret
	}{d.ingest, d.admin, d.ops, d.store(), d.receiver, d.chipPublic, d.clink, d.stripe, d.standard, d.endpoint, d.apiKey, d.prodKey})
	return text.Bytes(), err
}
