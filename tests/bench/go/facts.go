package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
)

const (
	prefix           = "podfacts.dev/"
	inject           = prefix + "inject"
	injected         = prefix + "injected"
	carried          = "facts.podfacts.dev/"
	mirror           = "kubernetes.io/config.mirror"
	mountPath        = "/etc/downward"
	volumeName       = "podfacts"
	annotationsLimit = 256 * 1024
)

var (
	envFacts = []envVar{
		byField("POD_NAME", "metadata.name"),
		byField("POD_NAMESPACE", "metadata.namespace"),
		byField("POD_UID", "metadata.uid"),
		byField("POD_IP", "status.podIP"),
		byField("NODE_NAME", "spec.nodeName"),
		byField("HOST_IP", "status.hostIP"),
		byField("SERVICE_ACCOUNT", "spec.serviceAccountName"),
		byResource("CONTAINER_CPU_REQUEST_MILLICORES", "requests.cpu", "1m"),
		byResource("CONTAINER_CPU_LIMIT_MILLICORES", "limits.cpu", "1m"),
		byResource("CONTAINER_MEMORY_REQUEST_KIBIBYTES", "requests.memory", "1Ki"),
		byResource("CONTAINER_MEMORY_LIMIT_KIBIBYTES", "limits.memory", "1Ki"),
	}
	podFiles = []item{
		{Path: "pod-name", FieldRef: &fieldRef{FieldPath: "metadata.name"}},
		{Path: "pod-namespace", FieldRef: &fieldRef{FieldPath: "metadata.namespace"}},
		{Path: "pod-uid", FieldRef: &fieldRef{FieldPath: "metadata.uid"}},
		{Path: "labels", FieldRef: &fieldRef{FieldPath: "metadata.labels"}},
		{Path: "annotations", FieldRef: &fieldRef{FieldPath: "metadata.annotations"}},
	}
	containerFiles = []struct{ name, resource, divisor string }{
		{"cpu-request", "requests.cpu", "1m"},
		{"cpu-limit", "limits.cpu", "1m"},
		{"memory-request", "requests.memory", "1Ki"},
		{"memory-limit", "limits.memory", "1Ki"},
	}
	limitFacts = []struct{ resource, env string }{
		{"cpu", "CONTAINER_CPU_LIMIT_MILLICORES"},
		{"memory", "CONTAINER_MEMORY_LIMIT_KIBIBYTES"},
	}

	errNotPorted = errors.New("the bench's port does not know this")
)

type profile struct{ hash string }

// place is a container and where it stands.
type place struct {
	list  string // containers or initContainers
	index int
	*container
}

// containerPlan is what one container gets.
type containerPlan struct {
	place
	env   []envVar
	mount bool
	shown map[string]bool
}

// plan is what a pod gets. Nothing in it when the pod did not ask.
type plan struct {
	asked      bool
	containers []containerPlan
	volume     *volume
	record     string
	warnings   []string
	injected   int
	kept       []string
}

func byField(name, path string) envVar {
	return envVar{Name: name, ValueFrom: &source{FieldRef: &fieldRef{FieldPath: path}}}
}

func byResource(name, resource, divisor string) envVar {
	return envVar{Name: name, ValueFrom: &source{ResourceFieldRef: &resourceFieldRef{Resource: resource, Divisor: divisor}}}
}

// planned is the plan for a pod; an error where the port ends.
func planned(p *pod, profile profile) (*plan, error) {
	asked, err := opted(p)
	if err != nil || !asked {
		return &plan{}, err
	}
	places := make([]place, 0, len(p.Spec.Containers)+len(p.Spec.InitContainers))
	for i := range p.Spec.Containers {
		places = append(places, place{"containers", i, &p.Spec.Containers[i]})
	}
	for i := range p.Spec.InitContainers {
		places = append(places, place{"initContainers", i, &p.Spec.InitContainers[i]})
	}
	for _, each := range p.Spec.Volumes {
		if each.Name == volumeName {
			return nil, errNotPorted // A second pass, or somebody else's volume.
		}
	}
	done := &plan{asked: true, containers: make([]containerPlan, 0, len(places))}
	var told []string
	for _, each := range places {
		one, kept, hidden := envPlan(each)
		done.injected += len(one.env)
		done.kept = append(done.kept, kept...)
		told = append(told, hidden...)
		done.containers = append(done.containers, one)
	}
	shown := mounts(done)
	if shown {
		items := files(places)
		done.volume = &volume{Name: volumeName, DownwardAPI: &downwardAPI{Items: items}}
		done.injected += len(items)
	}
	for i := range done.containers {
		told = append(told, unlimited(p, &done.containers[i], shown)...)
	}
	if done.record, err = record(p, profile, done.kept); err != nil {
		return nil, err
	}
	for _, each := range done.kept {
		done.warnings = append(done.warnings, "kept: "+each)
	}
	done.warnings = warned(append(done.warnings, told...))
	return done, nil
}

// opted tells whether the pod asks for the built-in profile.
func opted(p *pod) (bool, error) {
	label, there := p.Metadata.Labels[inject]
	if !there || label == "false" {
		return false, nil
	}
	if label != "true" && label != "default" {
		return false, errNotPorted
	}
	if _, there := p.Metadata.Annotations[mirror]; there {
		return false, nil
	}
	for key := range p.Metadata.Annotations {
		if strings.HasPrefix(key, prefix) || strings.HasPrefix(key, carried) {
			return false, errNotPorted
		}
	}
	return true, nil
}

// envPlan is what a container's env lacks, what is kept as its author wrote it, and what envFrom may set.
func envPlan(each place) (one containerPlan, kept, hidden []string) {
	one = containerPlan{place: each, shown: make(map[string]bool, len(envFacts))}
	last := make(map[string]int, len(each.Env))
	for i := range each.Env {
		last[each.Env[i].Name] = i // Two entries of one name are legal, and the last one wins.
	}
	for _, fact := range envFacts {
		at, there := last[fact.Name]
		switch {
		case !there:
			one.env = append(one.env, fact)
		case !same(each.Env[at].ValueFrom, fact.ValueFrom):
			kept = append(kept, fmt.Sprintf("%s: env %s is the author's", each.Name, fact.Name))
			continue
		}
		one.shown[fact.Name] = true
	}
	for _, from := range each.EnvFrom {
		for _, fact := range one.env {
			if strings.HasPrefix(fact.Name, from.Prefix) {
				return one, kept, []string{fmt.Sprintf(
					"%s: if its envFrom sets %s or another injected name, the injected one hides it", each.Name, fact.Name)}
			}
		}
	}
	return one, kept, nil
}

// same tells whether two sources mean the same, after the API server has filled in apiVersion: v1.
func same(theirs, ours *source) bool {
	if theirs == nil {
		return false
	}
	if ours.FieldRef != nil {
		field := theirs.FieldRef
		return field != nil && field.FieldPath == ours.FieldRef.FieldPath && (field.APIVersion == "" || field.APIVersion == "v1")
	}
	return theirs.ResourceFieldRef != nil && *theirs.ResourceFieldRef == *ours.ResourceFieldRef
}

// mounts decides for each container whether the volume is mounted, and tells whether anybody sees it.
func mounts(done *plan) bool {
	shown := false
	for i := range done.containers {
		one := &done.containers[i]
		if taken := taken(one.container); taken != "" {
			done.kept = append(done.kept, fmt.Sprintf("%s: %s, so nothing is mounted at %s", one.Name, taken, mountPath))
			continue
		}
		one.mount, shown = true, true
	}
	return shown
}

func taken(c *container) string {
	for i := range c.VolumeMounts {
		if overlap(c.VolumeMounts[i].MountPath, mountPath) {
			return "the author mounts " + c.VolumeMounts[i].MountPath
		}
	}
	for i := range c.VolumeDevices {
		if overlap(c.VolumeDevices[i].DevicePath, mountPath) {
			return "the author's device is " + c.VolumeDevices[i].DevicePath
		}
	}
	if message := c.TerminationMessagePath; message != "" && overlap(message, mountPath) {
		return "the termination message is " + message
	}
	return ""
}

func overlap(one, other string) bool {
	one, other = normal(one), normal(other)
	return strings.HasPrefix(one, other) || strings.HasPrefix(other, one)
}

func normal(each string) string {
	return strings.TrimRight(path.Clean("/"+strings.TrimLeft(each, "/")), "/") + "/"
}

func files(places []place) []item {
	items := make([]item, 0, len(podFiles)+len(containerFiles)*len(places))
	items = append(items, podFiles...)
	for _, each := range places {
		for _, file := range containerFiles {
			items = append(items, item{
				Path: "containers/" + each.Name + "/" + file.name,
				ResourceFieldRef: &resourceFieldRef{
					ContainerName: each.Name, Resource: file.resource, Divisor: file.divisor,
				},
			})
		}
	}
	return items
}

// unlimited warns where a fact shows a limit that is unset: its value is the node's.
func unlimited(p *pod, one *containerPlan, volumeShown bool) []string {
	var everywhere, inFiles []string
	for _, each := range limitFacts {
		if !zero(one.Resources.Limits[each.resource]) {
			continue
		}
		if zero(p.Spec.Resources.Limits[each.resource]) && (volumeShown || one.shown[each.env]) {
			everywhere = append(everywhere, "limits."+each.resource)
		} else if volumeShown {
			inFiles = append(inFiles, "limits."+each.resource)
		}
	}
	var told []string
	if everywhere != nil {
		told = append(told, fmt.Sprintf("%s: %s unset: the fact shows the node's allocatable",
			one.Name, strings.Join(everywhere, ", ")))
	}
	if inFiles != nil {
		told = append(told, fmt.Sprintf("%s: %s unset: the file shows the node's allocatable, not the pod's limit",
			one.Name, strings.Join(inFiles, ", ")))
	}
	return told
}

func zero(quantity string) bool {
	if at := strings.IndexAny(quantity, "eE"); at >= 0 {
		quantity = quantity[:at]
	}
	return !strings.ContainsAny(quantity, "123456789")
}

func record(p *pod, profile profile, kept []string) (string, error) {
	told := struct {
		Profile string   `json:"profile"`
		Hash    string   `json:"hash"`
		Kept    []string `json:"kept,omitempty"`
	}{"default", profile.hash, kept}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(told); err != nil {
		return "", err
	}
	size := len(injected) + text.Len() - 1
	for key, value := range p.Metadata.Annotations {
		size += len(key) + len(value)
	}
	if size > annotationsLimit {
		return "", errNotPorted
	}
	return strings.TrimSuffix(text.String(), "\n"), nil
}

// warned is what an API server shows: 16 warnings at most, 256 characters each.
func warned(told []string) []string {
	const most, longest = 16, 256
	left := len(told) - most
	if left > 0 {
		told = append(told[:most:most], fmt.Sprintf("and %d more: see podfacts.dev/injected", left))
	}
	for i, each := range told {
		each = "podfacts: " + each
		if runes := []rune(each); len(runes) > longest {
			each = string(runes[:longest-1]) + "…"
		}
		told[i] = each
	}
	return told
}
