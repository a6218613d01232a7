{{/* The name of the operator's objects. */}}
{{- define "jobkit.name" -}}
{{- default (printf "%s-operator" .Release.Name) .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of what belongs to the server of progress reports. */}}
{{- define "jobkit.progress" -}}
{{- printf "%s-progress" (include "jobkit.name" . | trunc 54 | trimSuffix "-") -}}
{{- end -}}

{{/* The name of the Service of the metrics: as a label of DNS, it has at most 63 characters. */}}
{{- define "jobkit.metrics" -}}
{{- printf "%s-metrics" (include "jobkit.name" . | trunc 55 | trimSuffix "-") -}}
{{- end -}}

{{/* The name of what belongs to the page. */}}
{{- define "jobkit.page" -}}
{{- printf "%s-page" (include "jobkit.name" . | trimSuffix "-operator" | trunc 58 | trimSuffix "-") -}}
{{- end -}}

{{/* The name of the ClusterRole of those who look at jobs. Two releases cannot own one object. */}}
{{- define "jobkit.viewer" -}}
{{- printf "%s-viewer" (include "jobkit.page" . | trimSuffix "-page") -}}
{{- end -}}

{{/* The lease of an operator that runs all jobs, which is that of training-operator v1. */}}
{{- define "jobkit.lease.all" -}}
{{- range (.Files.Get "files/leader_election_role.yaml" | fromYaml).rules -}}
{{- with .resourceNames -}}{{ first . }}{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The lease of the operator. Releases that run all jobs share one, so that only one of them is active.
One that runs some of the jobs would wait there without end beside another that runs others, so it has
its own. That has the name of the release, not of its jobs: it stays when these change, so that the
old operator and the new one are not both active during an upgrade.
*/}}
{{- define "jobkit.lease" -}}
{{- $all := include "jobkit.lease.all" . -}}
{{- if .Values.operator.leaderElectionID -}}
{{- .Values.operator.leaderElectionID -}}
{{- else if or .Values.operator.watchNamespace .Values.operator.kinds -}}
{{- printf "%s.%s" .Release.Name $all -}}
{{- else -}}
{{- $all -}}
{{- end -}}
{{- end -}}

{{/*
The rules of files/leader_election_role.yaml, with the lease of this release. The common lease stays
among them: an operator that an older chart installed holds it until the new one is ready.
*/}}
{{- define "jobkit.lease.rules" -}}
{{- $lease := include "jobkit.lease" . -}}
{{- $rules := list -}}
{{- range (.Files.Get "files/leader_election_role.yaml" | fromYaml).rules -}}
{{- if .resourceNames -}}
{{- $_ := set . "resourceNames" (concat (list $lease) .resourceNames | uniq) -}}
{{- end -}}
{{- $rules = append $rules . -}}
{{- end -}}
{{ toYaml $rules }}
{{- end -}}

{{/*
The flags of operator.extraArgs. Those that decide about rights and the lease have values: as a flag
they would change the operator and not its roles.
*/}}
{{- define "jobkit.extraArgs" -}}
{{- $values := dict "kinds" "kinds" "enable-scheme" "kinds" "namespace" "watchNamespace" -}}
{{- $_ := set $values "leader-election-id" "leaderElectionID" -}}
{{- range .Values.operator.extraArgs -}}
{{- $flag := regexReplaceAll "^--?([^=]*).*$" . "${1}" -}}
{{- with get $values $flag -}}
{{- fail (printf "operator.extraArgs has --%s, which the roles and the lease depend on: set operator.%s instead" $flag .) -}}
{{- end -}}
{{- end -}}
{{- toYaml .Values.operator.extraArgs -}}
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
