package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// What plain answers with net/http and encoding/json: minimal types, and a patch written by hand.

type review struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Request    *request `json:"request"`
}

type request struct {
	UID         string `json:"uid"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	Operation   string `json:"operation"`
	SubResource string `json:"subResource"`
	Object      pod    `json:"object"`
}

type reply struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Response   response `json:"response"`
}

type response struct {
	UID              string            `json:"uid"`
	Allowed          bool              `json:"allowed"`
	PatchType        string            `json:"patchType,omitempty"`
	Patch            []byte            `json:"patch,omitempty"` // encoding/json writes bytes as base64.
	Warnings         []string          `json:"warnings,omitempty"`
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
}

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// counted are the numbers that a webhook has for Prometheus: reviews, facts, and a histogram of seconds.
type counted struct {
	reviews, facts, kept atomic.Int64
	buckets              [14]atomic.Int64
	nanoseconds          atomic.Int64
}

var bounds = [...]float64{0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2}

func (c *counted) reviewed(done *plan, taken time.Duration) {
	c.reviews.Add(1)
	c.facts.Add(int64(done.injected))
	c.kept.Add(int64(len(done.kept)))
	c.nanoseconds.Add(int64(taken))
	at := 0
	for at < len(bounds) && taken.Seconds() > bounds[at] {
		at++
	}
	c.buckets[at].Add(1)
}

func plain(profile profile, logger *slog.Logger) http.Handler {
	numbers := &counted{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		began := time.Now()
		var sent review
		if err := json.Unmarshal(body, &sent); err != nil || sent.Kind != "AdmissionReview" || sent.Request == nil {
			http.Error(w, "the body must be an AdmissionReview", http.StatusBadRequest)
			return
		}
		asked := sent.Request
		done, err := planned(&asked.Object, profile)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer, err := json.Marshal(reply{sent.APIVersion, sent.Kind, answered(asked, done)})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		taken := time.Since(began)
		numbers.reviewed(done, taken)
		told(logger, asked.UID, asked.Namespace, asked.Object.Metadata.GenerateName, done, taken)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
}

func answered(asked *request, done *plan) response {
	if !done.asked {
		return response{UID: asked.UID, Allowed: true}
	}
	patch, err := json.Marshal(patch(&asked.Object, done))
	if err != nil {
		panic(err) // Of our own types: it cannot be.
	}
	return response{asked.UID, true, "JSONPatch", patch, done.warnings, map[string]string{"profile": "default"}}
}

func patch(p *pod, done *plan) []operation {
	var operations []operation
	add := func(path string, value any) { operations = append(operations, operation{"add", path, value}) }
	for i := range done.containers {
		one := &done.containers[i]
		if len(one.Env) == 0 {
			add(one.pointer("env"), one.env)
			continue
		}
		for at, each := range one.env {
			add(one.pointer("env/"+strconv.Itoa(at)), each)
		}
	}
	for i := range done.containers {
		one := &done.containers[i]
		if !one.mount {
			continue
		}
		ours := mount{Name: volumeName, MountPath: mountPath, ReadOnly: true}
		if len(one.VolumeMounts) == 0 {
			add(one.pointer("volumeMounts"), []mount{ours})
		} else {
			add(one.pointer("volumeMounts/-"), ours)
		}
	}
	if done.volume != nil {
		if len(p.Spec.Volumes) == 0 {
			add("/spec/volumes", []*volume{done.volume})
		} else {
			add("/spec/volumes/-", done.volume)
		}
	}
	if len(p.Metadata.Annotations) == 0 {
		add("/metadata/annotations", map[string]string{injected: done.record})
	} else {
		add("/metadata/annotations/"+strings.ReplaceAll(injected, "/", "~1"), done.record)
	}
	return operations
}

func (p place) pointer(below string) string {
	return "/spec/" + p.list + "/" + strconv.Itoa(p.index) + "/" + below
}

func told(logger *slog.Logger, uid, namespace, name string, done *plan, taken time.Duration) {
	logger.Info("review", "uid", uid, "namespace", namespace, "name", name+"*", "outcome", "injected",
		"injected", done.injected, "kept", len(done.kept), "ms", float64(taken.Microseconds())/1000)
}
