// A client of an API server that is told what to send, a line of JSON at a time, and says how long each answer took.
//
// One process with one HTTP/2 connection, as client-go has, for all runs of a bench: what differs between two runs is what
// they ask for.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// order is one run: the same request again and again, from several workers at once. NUMBER in URL or Body becomes the
// number of the request.
type order struct {
	Method   string `json:"method"`
	URL      string `json:"url"`
	Body     string `json:"body"`
	Type     string `json:"type"`
	Requests int    `json:"requests"`
	Workers  int    `json:"workers"`
}

// outcome is what is said of it. Microseconds, in the order in which the answers came to an end for each worker.
type outcome struct {
	Microseconds []int64 `json:"microseconds"`
	Seconds      float64 `json:"seconds"`
	Failed       int     `json:"failed"`
	Failure      string  `json:"failure"` // The first one.
}

func main() {
	authority := flag.String("authority", "", "PEM file of the server's CA")
	certificate := flag.String("certificate", "", "PEM file")
	key := flag.String("key", "", "PEM file")
	flag.Parse()
	client, err := connected(*authority, *certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	orders, outcomes := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var asked order
		if err := orders.Decode(&asked); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if err := outcomes.Encode(run(client, asked)); err != nil {
			log.Fatal(err)
		}
	}
}

func connected(authority, certificate, key string) (*http.Client, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	own, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{own}},
		ForceAttemptHTTP2: true,
	}
	return &http.Client{Transport: transport, Timeout: 60 * time.Second}, nil
}

func run(client *http.Client, asked order) outcome {
	var (
		next   atomic.Int64
		group  sync.WaitGroup
		mutex  sync.Mutex
		result outcome
	)
	began := time.Now()
	for range asked.Workers {
		group.Go(func() {
			taken := make([]int64, 0, asked.Requests/asked.Workers+1)
			failed, failure := 0, ""
			for {
				number := next.Add(1)
				if number > int64(asked.Requests) {
					break
				}
				one := time.Now()
				if err := send(client, asked, number); err != nil {
					failed++
					failure = err.Error()
				} else {
					taken = append(taken, time.Since(one).Microseconds())
				}
			}
			mutex.Lock()
			defer mutex.Unlock()
			result.Microseconds = append(result.Microseconds, taken...)
			result.Failed += failed
			if result.Failure == "" {
				result.Failure = failure
			}
		})
	}
	group.Wait()
	result.Seconds = time.Since(began).Seconds()
	return result
}

func send(client *http.Client, asked order, number int64) error {
	numbered := strings.NewReplacer("NUMBER", fmt.Sprint(number))
	body := []byte(numbered.Replace(asked.Body))
	request, err := http.NewRequest(asked.Method, numbered.Replace(asked.URL), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", asked.Type)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%d: %.300s", response.StatusCode, text)
	}
	return nil
}
