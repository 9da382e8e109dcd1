{{/* Name of every object: the release's, or what fullnameOverride says. */}}
{{- define "logpipe.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects the pods. `app` is what the shipped Prometheus keeps and how its job is named, for every release. */}}
{{- define "logpipe.selectorLabels" -}}
app: log-pipeline
app.kubernetes.io/name: logpipe
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "logpipe.labels" -}}
{{ include "logpipe.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The settings as the pipeline's variables: LOGPIPE_GROUP__SETTING, lists joined by commas. */}}
{{- define "logpipe.variables" -}}
{{- $secret := list "sasl_password" "api_key" "password" "headers" -}}
{{- range $group, $settings := .Values.settings }}
{{- range $name, $value := $settings }}
{{- if has $name $secret }}
{{- fail (printf "settings.%s.%s is a secret: put it into existingSecret under the key %s.%s" $group $name $group $name) }}
{{- end }}
{{- if kindIs "slice" $value }}{{ $value = join "," $value }}{{ end }}
{{- if not (kindIs "invalid" $value) }}
{{ printf "LOGPIPE_%s__%s" (upper $group) (upper $name) }}: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Of Kafka's settings, what KEDA calls otherwise. */}}
{{- define "logpipe.kafkaSasl" -}}
{{- $kafka := .Values.settings.kafka | default dict -}}
{{- if hasPrefix "SASL_" ($kafka.security_protocol | default "PLAINTEXT") -}}
{{- get (dict "PLAIN" "plaintext" "SCRAM-SHA-256" "scram_sha256" "SCRAM-SHA-512" "scram_sha512") $kafka.sasl_mechanism -}}
{{- end -}}
{{- end -}}

{{- define "logpipe.kafkaTls" -}}
{{- $kafka := .Values.settings.kafka | default dict -}}
{{- if hasSuffix "SSL" ($kafka.security_protocol | default "PLAINTEXT") -}}enable{{- end -}}
{{- end -}}

{{/* Whether KEDA has something to show to Kafka: a password, or an authority of one's own to check. */}}
{{- define "logpipe.makesTriggerAuthentication" -}}
{{- if and (not .Values.keda.triggerAuthentication) (or (include "logpipe.kafkaSasl" .) (and (include "logpipe.kafkaTls" .) .Values.caConfigMap)) -}}true{{- end -}}
{{- end -}}
