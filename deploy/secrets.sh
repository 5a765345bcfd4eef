#!/bin/sh
# Makes the secrets that deploy/compose.yaml mounts, in deploy/secrets or in the
# directory that is given. What is there already is kept, so that it may be run
# again after one was added. Replace the made-up secrets of sources
# (clink_secret, stripe_secret) by those that the provider shows you.
#
# The files can be read by everybody because the containers do not run as you;
# the directory around them can be entered by its owner alone. Keep a copy of
# keyset.json elsewhere: without it, what jethook encrypted cannot be read again.
set -eu

dir=${1:-$(dirname "$0")/secrets}
mkdir -p "$dir"
chmod 0700 "$dir"
umask 022

hex() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# A file is put in its place when it is complete.
write() {
	if [ ! -e "$dir/$1" ]; then
		printf '%s\n' "$2" >"$dir/$1.new"
		mv "$dir/$1.new" "$dir/$1"
	fi
}

write clink_secret "$(hex 32)"
write stripe_secret "whsec_$(hex 32)"
write billing_secret "whsec_$(head -c 32 /dev/urandom | base64)"

# A Tink keyset of one AES-256-GCM key: a protocol buffer whose field 3 (\032)
# holds 32 (\040) bytes.
key=$({ printf '\032\040'; head -c 32 /dev/urandom; } | base64)
write keyset.json '{"primaryKeyId":1,"key":[{"keyId":1,"status":"ENABLED","outputPrefixType":"TINK","keyData":{
  "typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey","keyMaterialType":"SYMMETRIC","value":"'"$key"'"}}]}'

# The servers' half of a password and jethook's are made together.
if [ ! -e "$dir/nats.conf" ] || [ ! -e "$dir/nats_context.json" ]; then
	rm -f "$dir/nats.conf" "$dir/nats_context.json"
	password=$(hex 32)
	route=$(hex 32)
	write nats.conf "JETHOOK_PASSWORD: \"$password\"
ROUTE_PASSWORD: \"$route\"
ROUTES: [
  \"nats://route:$route@nats-1:6222\"
  \"nats://route:$route@nats-2:6222\"
  \"nats://route:$route@nats-3:6222\"
]"
	write nats_context.json '{
  "description": "the cluster of deploy/compose.yaml",
  "url": "nats://nats-1:4222,nats://nats-2:4222,nats://nats-3:4222",
  "user": "jethook",
  "password": "'"$password"'"
}'
fi
