package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	kube "k8s.io/apimachinery/pkg/runtime"
	controller "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

var divisors = map[string]resource.Quantity{"1m": resource.MustParse("1m"), "1Ki": resource.MustParse("1Ki")}

// What runtime answers as the book of kubebuilder teaches it: decode a typed Pod, change it, encode it, and let the
// package find the difference. Its own metrics are on.
func runtime(profile profile, logger *slog.Logger) http.Handler {
	controller.SetLogger(logr.FromSlogHandler(logger.Handler()))
	scheme := kube.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		panic(err)
	}
	hook := &admission.Webhook{Handler: &injector{admission.NewDecoder(scheme), profile, logger}}
	handler, err := admission.StandaloneWebhook(hook, admission.StandaloneOptions{MetricsPath: "/mutate"})
	if err != nil {
		panic(err)
	}
	return handler
}

type injector struct {
	decoder admission.Decoder
	profile profile
	logger  *slog.Logger
}

func (i *injector) Handle(_ context.Context, asked admission.Request) admission.Response {
	began := time.Now()
	typed := &corev1.Pod{}
	if err := i.decoder.Decode(asked, typed); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	done, err := planned(seen(typed), i.profile)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	if !done.asked {
		return admission.Allowed("")
	}
	change(typed, done)
	changed, err := json.Marshal(typed)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	answer := admission.PatchResponseFromRaw(asked.Object.Raw, changed)
	answer.Warnings = done.warnings
	answer.AuditAnnotations = map[string]string{"profile": "default"}
	told(i.logger, string(asked.UID), asked.Namespace, typed.GenerateName, done, time.Since(began))
	return answer
}

// seen is what the plan looks at.
func seen(typed *corev1.Pod) *pod {
	p := &pod{}
	p.Metadata.Labels, p.Metadata.Annotations = typed.Labels, typed.Annotations
	p.Spec.Containers = containers(typed.Spec.Containers)
	p.Spec.InitContainers = containers(typed.Spec.InitContainers)
	for i := range typed.Spec.Volumes {
		p.Spec.Volumes = append(p.Spec.Volumes, volume{Name: typed.Spec.Volumes[i].Name})
	}
	if typed.Spec.Resources != nil {
		p.Spec.Resources.Limits = limits(typed.Spec.Resources.Limits)
	}
	return p
}

func containers(typed []corev1.Container) []container {
	found := make([]container, len(typed))
	for i := range typed {
		each := &typed[i]
		found[i] = container{
			Name: each.Name, Env: make([]envVar, len(each.Env)), Resources: resources{limits(each.Resources.Limits)},
			TerminationMessagePath: each.TerminationMessagePath,
		}
		for j := range each.Env {
			found[i].Env[j] = envVar{each.Env[j].Name, origin(each.Env[j].ValueFrom)}
		}
		for j := range each.EnvFrom {
			found[i].EnvFrom = append(found[i].EnvFrom, envFrom{each.EnvFrom[j].Prefix})
		}
		for j := range each.VolumeMounts {
			found[i].VolumeMounts = append(found[i].VolumeMounts, mount{MountPath: each.VolumeMounts[j].MountPath})
		}
		for j := range each.VolumeDevices {
			found[i].VolumeDevices = append(found[i].VolumeDevices, device{each.VolumeDevices[j].DevicePath})
		}
	}
	return found
}

func origin(typed *corev1.EnvVarSource) *source {
	if typed == nil {
		return nil
	}
	found := &source{}
	if field := typed.FieldRef; field != nil {
		found.FieldRef = &fieldRef{field.APIVersion, field.FieldPath}
	}
	if amount := typed.ResourceFieldRef; amount != nil {
		found.ResourceFieldRef = &resourceFieldRef{amount.ContainerName, amount.Resource, amount.Divisor.String()}
	}
	return found
}

func limits(typed corev1.ResourceList) map[string]string {
	found := make(map[string]string, len(typed))
	for name, quantity := range typed {
		found[string(name)] = quantity.String()
	}
	return found
}

// change writes the plan into the pod.
func change(typed *corev1.Pod, done *plan) {
	for i := range done.containers {
		one := &done.containers[i]
		target := &typed.Spec.Containers
		if one.list == "initContainers" {
			target = &typed.Spec.InitContainers
		}
		each := &(*target)[one.index]
		env := make([]corev1.EnvVar, 0, len(one.env)+len(each.Env))
		for _, fact := range one.env {
			env = append(env, corev1.EnvVar{Name: fact.Name, ValueFrom: &corev1.EnvVarSource{
				FieldRef: field(fact.ValueFrom.FieldRef), ResourceFieldRef: amount(fact.ValueFrom.ResourceFieldRef),
			}})
		}
		each.Env = append(env, each.Env...)
		if one.mount {
			each.VolumeMounts = append(each.VolumeMounts,
				corev1.VolumeMount{Name: volumeName, MountPath: mountPath, ReadOnly: true})
		}
	}
	if done.volume != nil {
		items := make([]corev1.DownwardAPIVolumeFile, 0, len(done.volume.DownwardAPI.Items))
		for _, each := range done.volume.DownwardAPI.Items {
			items = append(items, corev1.DownwardAPIVolumeFile{
				Path: each.Path, FieldRef: field(each.FieldRef), ResourceFieldRef: amount(each.ResourceFieldRef),
			})
		}
		typed.Spec.Volumes = append(typed.Spec.Volumes, corev1.Volume{Name: volumeName, VolumeSource: corev1.VolumeSource{
			DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: items},
		}})
	}
	if typed.Annotations == nil {
		typed.Annotations = map[string]string{}
	}
	typed.Annotations[injected] = done.record
}

func field(ours *fieldRef) *corev1.ObjectFieldSelector {
	if ours == nil {
		return nil
	}
	return &corev1.ObjectFieldSelector{FieldPath: ours.FieldPath}
}

func amount(ours *resourceFieldRef) *corev1.ResourceFieldSelector {
	if ours == nil {
		return nil
	}
	return &corev1.ResourceFieldSelector{
		ContainerName: ours.ContainerName, Resource: ours.Resource, Divisor: divisors[ours.Divisor],
	}
}
