package main

// The parts of a pod that injection looks at. encoding/json skips the rest without keeping it.

type pod struct {
	Metadata struct {
		GenerateName string            `json:"generateName"`
		Labels       map[string]string `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Containers     []container `json:"containers"`
		InitContainers []container `json:"initContainers"`
		Volumes        []volume    `json:"volumes"`
		Resources      resources   `json:"resources"`
	} `json:"spec"`
}

type container struct {
	Name                   string    `json:"name"`
	Env                    []envVar  `json:"env"`
	EnvFrom                []envFrom `json:"envFrom"`
	VolumeMounts           []mount   `json:"volumeMounts"`
	VolumeDevices          []device  `json:"volumeDevices"`
	Resources              resources `json:"resources"`
	TerminationMessagePath string    `json:"terminationMessagePath"`
}

type envVar struct {
	Name      string  `json:"name"`
	ValueFrom *source `json:"valueFrom,omitempty"`
}

type source struct {
	FieldRef         *fieldRef         `json:"fieldRef,omitempty"`
	ResourceFieldRef *resourceFieldRef `json:"resourceFieldRef,omitempty"`
}

type fieldRef struct {
	APIVersion string `json:"apiVersion,omitempty"`
	FieldPath  string `json:"fieldPath"`
}

type resourceFieldRef struct {
	ContainerName string `json:"containerName,omitempty"`
	Resource      string `json:"resource"`
	Divisor       string `json:"divisor,omitempty"`
}

type envFrom struct {
	Prefix string `json:"prefix"`
}

type mount struct {
	Name        string `json:"name"`
	MountPath   string `json:"mountPath"`
	ReadOnly    bool   `json:"readOnly"`
	SubPath     string `json:"subPath,omitempty"`
	SubPathExpr string `json:"subPathExpr,omitempty"`
}

type device struct {
	DevicePath string `json:"devicePath"`
}

type resources struct {
	Limits map[string]string `json:"limits"`
}

type volume struct {
	Name        string       `json:"name"`
	DownwardAPI *downwardAPI `json:"downwardAPI,omitempty"`
}

type downwardAPI struct {
	Items []item `json:"items"`
}

type item struct {
	Path             string            `json:"path"`
	FieldRef         *fieldRef         `json:"fieldRef,omitempty"`
	ResourceFieldRef *resourceFieldRef `json:"resourceFieldRef,omitempty"`
}
