{{/* The name of the operator's objects. */}}
{{- define "jobkit.name" -}}
{{- default (printf "%s-operator" .Release.Name) .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of what belongs to the server of progress reports. */}}
{{- define "jobkit.progress" -}}
{{- printf "%s-progress" (include "jobkit.name" . | trunc 54 | trimSuffix "-") -}}
{{- end -}}

{{/* The name of what belongs to the page. */}}
{{- define "jobkit.page" -}}
{{- printf "%s-page" (include "jobkit.name" . | trimSuffix "-operator" | trunc 58 | trimSuffix "-") -}}
{{- end -}}

{{- define "jobkit.pageSelector" -}}
app.kubernetes.io/name: jobkit-page
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "jobkit.pageLabels" -}}
{{ include "jobkit.pageSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "jobkit.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "jobkit.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is empty: with serviceAccount.create=false, name a service account that exists" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The labels by which the operator's pods are selected. They never change. */}}
{{- define "jobkit.selector" -}}
app.kubernetes.io/name: jobkit-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "jobkit.labels" -}}
{{ include "jobkit.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "jobkit.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* The lease by which one of several operators is active. Releases that run other jobs have other leases. */}}
{{- define "jobkit.lease" -}}
{{- $shared := "1ca428e5.training-operator.kubeflow.org" -}}
{{- $own := ternary (printf "%s.%s" (include "jobkit.name" .) $shared) $shared (or .Values.operator.watchNamespace .Values.operator.kinds | empty | not) -}}
{{- default $own .Values.operator.leaderElectionID -}}
{{- end -}}

{{/*
The rules of files/role.yaml: those about objects without a namespace ("cluster"), those about objects with one
("namespace"), or all (""). Those of kinds that are not run are left out.
*/}}
{{- define "jobkit.rules" -}}
{{- $of := .of -}}
{{- $cluster := list "nodes" "validatingwebhookconfigurations" "priorityclasses" -}}
{{- $mpi := list "configmaps" "pods/exec" "rolebindings" "roles" "serviceaccounts" -}}
{{- $kinds := .root.Values.operator.kinds -}}
{{- $rules := list -}}
{{- range (.root.Files.Get "files/role.yaml" | fromYaml).rules -}}
{{- $jobs := has "kubeflow.org" .apiGroups -}}
{{- $resources := list -}}
{{- range .resources -}}
{{- $kind := regexReplaceAll "s(/.*)?$" . "" -}}
{{- if not (and $kinds (or (and $jobs (not (has $kind $kinds))) (and (has . $mpi) (not (has "mpijob" $kinds))))) -}}
{{- $resources = append $resources . -}}
{{- end -}}
{{- end -}}
{{- if and $resources (or (eq $of "") (eq (has (first .resources) $cluster) (eq $of "cluster"))) -}}
{{- $rules = append $rules (merge (dict "resources" $resources) .) -}}
{{- end -}}
{{- end -}}
{{ toYaml $rules }}
{{- end -}}
