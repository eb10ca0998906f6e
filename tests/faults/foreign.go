// A client of Go's net/http, as an API server is one: ``foreign URL CA BODY COUNT`` posts the file COUNT times from eight
// goroutines over kept connections, and prints each status with how often it came, and how many connections were made.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	url, body := os.Args[1], read(os.Args[3])
	count, err := strconv.Atoi(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(read(os.Args[2]))
	var dialled atomic.Int64
	dialer := net.Dialer{}
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool},
		ForceAttemptHTTP2:   true, // It asks for it; whoever does not speak it says so in the handshake.
		MaxIdleConnsPerHost: 25,
		DialContext: func(context context.Context, network, address string) (net.Conn, error) {
			dialled.Add(1)
			return dialer.DialContext(context, network, address)
		},
	}}
	var workers sync.WaitGroup
	var lock sync.Mutex
	seen := map[string]int{}
	left := atomic.Int64{}
	left.Store(int64(count))
	for range 8 {
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				said := ask(&client, url, body)
				lock.Lock()
				seen[said]++
				lock.Unlock()
			}
		})
	}
	workers.Wait()
	fmt.Println(seen, dialled.Load())
}

func ask(client *http.Client, url string, body []byte) string {
	reply, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err.Error()
	}
	defer reply.Body.Close()
	if _, err := io.Copy(io.Discard, reply.Body); err != nil {
		return err.Error()
	}
	return reply.Proto + " " + strconv.Itoa(reply.StatusCode)
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return data
}
