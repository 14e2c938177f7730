{{- define "ropeline.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- /* Names of CronJobs have 52 characters at most; a longer one keeps apart by its digest. */ -}}
{{- define "ropeline.cronjob" -}}
{{- if gt (len .) 52 -}}
{{- printf "%s-%s" (. | trunc 43 | trimSuffix "-") (. | sha256sum | trunc 8) -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end }}

{{- define "ropeline.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ropeline.labels" -}}
{{ include "ropeline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "ropeline.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "ropeline.secret" -}}
{{ .Values.secret.name | default (include "ropeline.name" .) }}
{{- end }}

{{- /* What the container of a gateway, and that of the migration, has in common. */ -}}
{{- define "ropeline.container" -}}
image: {{ include "ropeline.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: ROPELINE_CONFIG
    value: /etc/ropeline/settings.toml
  - name: ROPELINE_LISTEN
    value: "0.0.0.0:8080"
  - name: ROPELINE_OPS_LISTEN
    value: "0.0.0.0:8081"
  - name: ROPELINE_DATA_DIR
    value: /var/lib/ropeline
  - name: ROPELINE_SIGNING_KEYS
    value: {{ range $index, $file := .Values.signingKeys }}{{ if $index }},{{ end }}/etc/ropeline/{{ $file }}{{ end }}
  {{- with .Values.signingKeyId }}
  - name: ROPELINE_SIGNING_KEY_ID
    value: {{ . | quote }}
  {{- end }}
  - name: ROPELINE_SHUTDOWN_DELAY_SECONDS
    value: {{ .Values.shutdownDelaySeconds | quote }}
  {{- range $name, $value := .Values.settings }}
  {{- if $value }}
  - name: ROPELINE_{{ upper $name }}
    value: {{ $value | quote }}
  {{- end }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - name: secret
    mountPath: /etc/ropeline
    readOnly: true
  - name: data
    mountPath: /var/lib/ropeline
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{- define "ropeline.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: secret
    secret:
      secretName: {{ include "ropeline.secret" . }}
      defaultMode: 0440
  # Nothing that has to last: keys are in the secret, everything else in Redis and PostgreSQL.
  - name: data
    emptyDir: { sizeLimit: 256Mi }
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
