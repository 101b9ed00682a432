{{/* The chart's name, as label values show it. */}}
{{- define "goldpool.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the chart's objects: the release's name, with the chart's name in it. */}}
{{- define "goldpool.fullname" -}}
{{- $name := include "goldpool.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 48 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 48 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "goldpool.selectorLabels" -}}
app.kubernetes.io/name: {{ include "goldpool.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "goldpool.labels" -}}
{{ include "goldpool.selectorLabels" . }}
app.kubernetes.io/part-of: goldpool
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "goldpool.serviceAccountName" -}}
{{- default (include "goldpool.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{/* The data namespace: never the operator's own, where its token lies. */}}
{{- define "goldpool.dataNamespace" -}}
{{- if eq .Values.dataNamespace.name .Release.Namespace }}
{{- fail (printf "dataNamespace.name: %s is the operator's own namespace; machines and storage Jobs need another one" .Release.Namespace) }}
{{- end }}
{{- .Values.dataNamespace.name }}
{{- end }}

{{/* Names of priority classes: (list $ "storage" OWN) gives OWN, else the one the chart makes, else nothing. */}}
{{- define "goldpool.priorityClass" -}}
{{- $root := index . 0 }}
{{- if index . 2 }}
{{- index . 2 }}
{{- else if $root.Values.priorityClasses.create }}
{{- printf "%s-%s" (include "goldpool.fullname" $root) (index . 1) }}
{{- end }}
{{- end }}

{{/* What a monitor's endpoint has beside its port. */}}
{{- define "goldpool.scrape" -}}
interval: {{ .interval }}
scrapeTimeout: {{ .scrapeTimeout }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An egress rule of a NetworkPolicy; networkPolicy is given. */}}
{{- define "goldpool.dns" -}}
{{- with .dnsTo }}
- to:
    {{- toYaml . | nindent 4 }}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}
{{- end }}

{{- define "goldpool.ports" -}}
{{- range . }}
- {port: {{ int . }}, protocol: TCP}
{{- end }}
{{- end }}

{{/* The operator's settings, name to value. Every value of the chart that is a setting is here and nowhere else. */}}
{{- define "goldpool.settings" -}}
GOLDPOOL_DATA_NAMESPACE: {{ include "goldpool.dataNamespace" . | quote }}
GOLDPOOL_SERVICE_ACCOUNT: goldpool-workload
GOLDPOOL_WORKER_IMAGE: "{{ .Values.image.worker.repository }}:{{ .Values.image.worker.tag }}"
GOLDPOOL_VM_IMAGE: "{{ .Values.image.vm.repository }}:{{ .Values.image.vm.tag }}"
GOLDPOOL_IMAGE_PULL_POLICY: {{ .Values.image.pullPolicy | quote }}
GOLDPOOL_ALLOWED_PATH_PREFIXES: {{ join "," .Values.allowedPathPrefixes | quote }}
GOLDPOOL_CPU_ALLOCATION_RATIO: {{ int64 .Values.cpuAllocationRatio | quote }}
GOLDPOOL_ALLOCATOR: {{ .Values.planning.allocator | quote }}
GOLDPOOL_MAX_PLANS: {{ int64 .Values.planning.maxPlans | quote }}
GOLDPOOL_LOG_FORMAT: {{ .Values.logFormat | quote }}
GOLDPOOL_TRASH_SECONDS: {{ int64 .Values.trashSeconds | quote }}
GOLDPOOL_FETCH_CONNECT_SECONDS: {{ int64 .Values.fetch.connectSeconds | quote }}
GOLDPOOL_FETCH_IDLE_SECONDS: {{ int64 .Values.fetch.idleSeconds | quote }}
GOLDPOOL_FETCH_MIN_BYTES_PER_SECOND: {{ int64 .Values.fetch.minBytesPerSecond | quote }}
GOLDPOOL_FETCH_MIN_SPEED_SECONDS: {{ int64 .Values.fetch.minSpeedSeconds | quote }}
GOLDPOOL_FETCH_RESERVE_BYTES: {{ int64 .Values.fetch.reserveBytes | quote }}
GOLDPOOL_FETCH_ATTEMPTS: {{ int64 .Values.fetch.attempts | quote }}
GOLDPOOL_SOURCE_PROBE_SECONDS: {{ int64 .Values.fetch.probeSeconds | quote }}
GOLDPOOL_SOURCE_PROBES_PER_HOST: {{ int64 .Values.fetch.probesPerHost | quote }}
GOLDPOOL_SOURCE_PROBES_PER_CLUSTER: {{ int64 .Values.fetch.probesPerCluster | quote }}
GOLDPOOL_FETCHES_PER_HOST: {{ int64 .Values.fetch.perHost | quote }}
GOLDPOOL_FETCHES_PER_POOL: {{ int64 .Values.fetch.perPool | quote }}
GOLDPOOL_FETCHES_PER_CLUSTER: {{ int64 .Values.fetch.perCluster | quote }}
GOLDPOOL_FETCH_TOTAL_SECONDS: {{ int64 .Values.fetch.totalSeconds | quote }}
GOLDPOOL_FETCH_MAX_BYTES: {{ int64 .Values.fetch.maxBytes | quote }}
GOLDPOOL_FETCH_MAX_VIRTUAL_BYTES: {{ int64 .Values.fetch.maxVirtualBytes | quote }}
GOLDPOOL_FETCH_CHECK_CPU_SECONDS: {{ int64 .Values.fetch.checkCpuSeconds | quote }}
GOLDPOOL_FETCH_CHECK_MEMORY_BYTES: {{ int64 .Values.fetch.checkMemoryBytes | quote }}
GOLDPOOL_FETCH_CHECK_SECONDS: {{ int64 .Values.fetch.checkSeconds | quote }}
GOLDPOOL_FETCH_MAX_AMPLIFICATION: {{ int64 .Values.fetch.maxAmplification | quote }}
GOLDPOOL_FETCH_MAX_WINDOW_BYTES: {{ int64 .Values.fetch.maxWindowBytes | quote }}
GOLDPOOL_FETCH_MAX_REDIRECTS: {{ int64 .Values.fetch.maxRedirects | quote }}
GOLDPOOL_FETCH_ALLOWED_ADDRESSES: {{ join "," .Values.fetch.addresses.allow | default "none" | quote }}
GOLDPOOL_FETCH_DENIED_ADDRESSES: {{ join "," .Values.fetch.addresses.deny | default "none" | quote }}
GOLDPOOL_FETCH_HTTP_PROXY: {{ .Values.fetch.proxy.http | quote }}
GOLDPOOL_FETCH_HTTPS_PROXY: {{ .Values.fetch.proxy.https | quote }}
GOLDPOOL_FETCH_NO_PROXY: {{ join "," .Values.fetch.proxy.noProxy | quote }}
GOLDPOOL_API_QPS: {{ int64 .Values.api.qps | quote }}
GOLDPOOL_API_BURST: {{ int64 .Values.api.burst | quote }}
GOLDPOOL_HEALTH_PORT: "8080"
GOLDPOOL_JOB_PRIORITY_CLASS: {{ include "goldpool.priorityClass" (list . "storage" .Values.priorityClasses.storage) | quote }}
GOLDPOOL_POD_PRIORITY_CLASS: {{ include "goldpool.priorityClass" (list . "machines" .Values.priorityClasses.machines) | quote }}
GOLDPOOL_ALLOWED_TOLERATIONS: {{ join "," .Values.allowedTolerations | quote }}
GOLDPOOL_ALLOWED_PRIORITY_CLASSES: {{ join "," .Values.priorityClasses.allowed | quote }}
{{- end }}

{{/* They and the free ones, as a container's env. */}}
{{- define "goldpool.env" -}}
{{- $settings := include "goldpool.settings" . | fromYaml }}
{{- range $name := list "GOLDPOOL_NAMESPACE" "GOLDPOOL_POD_NAME" }}
{{- if hasKey $.Values.settings $name }}
{{- fail (printf "settings.%s: is the pod's own; remove it" $name) }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{- if hasKey $settings $name }}
{{- fail (printf "settings.%s: has a value of its own in values.yaml; set that one" $name) }}
{{- end }}
{{- /* YAML makes large integers floats: 1e+12 is no number for the operator. */ -}}
{{- $_ := set $settings $name (ternary (int64 $value | toString) (toString $value) (and (kindIs "float64" $value) (eq (float64 (int64 $value)) $value))) }}
{{- end -}}
- name: GOLDPOOL_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: GOLDPOOL_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- range $name, $value := $settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
