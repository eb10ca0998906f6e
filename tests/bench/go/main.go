// Two webhooks that answer as podfacts does, to compare it with: plain net/http with encoding/json, and controller-runtime.
//
// Only the built-in profile is ported, without the options that a pod may set by annotation: a pod that sets one gets an
// error, never a wrong answer. Like podfacts, both log a line for each review and count it.
package main

import (
	"crypto/tls"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"
)

func main() {
	kind := flag.String("kind", "plain", "plain, runtime or nothing")
	address := flag.String("address", "127.0.0.1:0", "where to listen")
	certificate := flag.String("certificate", "tls.crt", "PEM file")
	key := flag.String("key", "tls.key", "PEM file")
	hash := flag.String("profile-hash", "", "of the built-in profile, as podfacts computes it")
	flag.Parse()

	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	profile := profile{hash: *hash}
	var handler http.Handler
	switch *kind {
	case "plain":
		handler = plain(profile, logger)
	case "runtime":
		handler = runtime(profile, logger)
	case "nothing":
		handler = nothing()
	default:
		log.Fatalf("no such kind: %s", *kind)
	}
	mux := http.NewServeMux()
	mux.Handle("/mutate", handler)
	server := http.Server{
		Addr:              *address,
		Handler:           mux,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS13},
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 for all contenders.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       150 * time.Second,
	}
	log.Fatal(server.ListenAndServeTLS(*certificate, *key))
}
