{{- define "muster.labels" -}}
app.kubernetes.io/name: muster
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "muster.metadata" -}}
name: {{ .root.Release.Name }}-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "muster.labels" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{- define "muster.api-scheme" -}}
{{ if .Values.api.tlsSecretName }}https{{ else }}http{{ end }}
{{- end }}

{{- define "muster.api-url" -}}
{{ .Values.supervisor.apiUrl | default (printf "%s://%s-api.%s.svc:%v" (include "muster.api-scheme" .) .Release.Name .Release.Namespace .Values.api.service.port) }}
{{- end }}

{{- define "muster.log-store" -}}
{{ .Values.logs.store | default "/var/lib/muster/logs" }}
{{- end }}

{{/*
A Deployment of one service: what all three share. Takes root, component, port, node (flags of Node.js), args, env, volumes, mounts,
serviceAccountToken, scheme and settings (replicas, resources).
*/}}
{{- define "muster.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "muster.metadata" . | nindent 2 }}
spec:
  replicas: {{ .settings.replicas }}
  # the new one is there before an old one goes
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector:
    matchLabels:
      {{- include "muster.labels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "muster.labels" . | nindent 8 }}
        {{- with .root.Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .annotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ .root.Release.Name }}-{{ .component }}
      automountServiceAccountToken: {{ .serviceAccountToken | default false }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: 30
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        fsGroupChangePolicy: OnRootMismatch
        seccompProfile: {type: RuntimeDefault}
      {{- with .root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .root.Values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with .root.Values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .root.Values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "muster.labels" . | nindent 14 }}
      containers:
        - name: {{ .component }}
          image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          workingDir: /muster
          command:
            {{- concat (list "node") (.node | default list) (list (printf "services/%s/src/main.ts" .component)) (.args | default list) | toYaml | nindent 12 }}
          env:
            - name: DATABASE_URL
              valueFrom: {secretKeyRef: {name: {{ .root.Values.database.secretName }}, key: {{ .root.Values.database.secretKey }}}}
            - {name: MUSTER_LOG_LEVEL, value: {{ .root.Values.logLevel }}}
            {{- range $name, $value := .env }}
            - {name: {{ $name }}, value: {{ $value | quote }}}
            {{- end }}
            {{- with .moreEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- if and .keepsLogs .root.Values.logs.credentialsSecretName }}
          envFrom:
            - secretRef: {name: {{ .root.Values.logs.credentialsSecretName }}}
          {{- end }}
          ports:
            - {name: http, containerPort: {{ .port }}}
          startupProbe: {httpGet: {path: /readyz, port: http, scheme: {{ .scheme | default "HTTP" }}}, periodSeconds: 2, failureThreshold: 90}
          readinessProbe: {httpGet: {path: /readyz, port: http, scheme: {{ .scheme | default "HTTP" }}}, periodSeconds: 5, timeoutSeconds: 5}
          # only that it answers: a database that is away is no reason to start anew
          livenessProbe: {httpGet: {path: /healthz, port: http, scheme: {{ .scheme | default "HTTP" }}}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
          resources:
            {{- toYaml .settings.resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if and .keepsLogs (not .root.Values.logs.store) }}
            - {name: logs, mountPath: /var/lib/muster/logs}
            {{- end }}
            {{- with .mounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - {name: tmp, emptyDir: {sizeLimit: 1Gi}}
        {{- if and .keepsLogs (not .root.Values.logs.store) }}
        - {name: logs, persistentVolumeClaim: {claimName: {{ required "logs.store (s3://...) or logs.volumeClaim must be given" .root.Values.logs.volumeClaim }}}}
        {{- end }}
        {{- with .volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}

{{/* The account of one service. Only the supervisor's has rights. */}}
{{- define "muster.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "muster.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end }}

{{/* Ports that every service may call: names, and Postgres. */}}
{{- define "muster.egress" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
- ports: [{port: {{ .Values.networkPolicy.databasePort }}, protocol: TCP}]
{{- end }}
