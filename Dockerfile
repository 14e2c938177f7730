# The gateway alone: `make dist` makes the static programs and what else is in here, so that this
# builds without any registry. Redis and PostgreSQL are elsewhere; compose.yaml has an example.
#
#   make dist && buildah build --format docker --tag ropeline .    (OCI images have no health check)
FROM scratch
COPY dist/image/root/ /
# The directory itself has to be the user's, so what it is in is copied.
COPY --chown=65532:65532 dist/image/data/ /var/lib/
USER 65532:65532
WORKDIR /var/lib/ropeline
ENV ROPELINE_LISTEN=0.0.0.0:8080 \
    ROPELINE_OPS_LISTEN=0.0.0.0:8081 \
    ROPELINE_DATA_DIR=/var/lib/ropeline
VOLUME ["/var/lib/ropeline"]
# 8080 for fans; 8081 for operators, never to be published beyond trusted networks.
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/bin/ropeline-gateway", "health"]
ENTRYPOINT ["/usr/bin/ropeline-gateway"]
