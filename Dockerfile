# The service in a small image: the binary and the C runtime it links, no shell, not root.
#
#   docker build -t lostcard .
#   docker run -p 8080:8080 -v lostcard:/var/lib/lostcard lostcard      one node
#   deploy/compose/compose.yaml                                         several

FROM rust:1.95-bookworm AS build
WORKDIR /src
# Dependencies first, against empty sources: this layer is built again only when Cargo.toml or
# Cargo.lock change, not at every edit of the service.
COPY Cargo.toml Cargo.lock ./
COPY load-tests/Cargo.toml load-tests/
RUN mkdir -p src load-tests/src \
    && touch src/lib.rs \
    && echo 'fn main() {}' | tee src/main.rs > load-tests/src/main.rs \
    && cargo build --profile dist --locked --package lostcard \
    && rm -r src load-tests/src
COPY . .
# `touch`: cargo compares times, and the copied files may be older than the empty ones just built.
RUN find src -name '*.rs' -exec touch {} + \
    && cargo build --profile dist --locked --package lostcard \
    && install -D target/dist/lostcard /out/usr/local/bin/lostcard \
    && install -d -m 0700 /out/var/lib/lostcard /out/keys

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="lostcard" \
      org.opencontainers.image.description="Tells organizations that must check identity cards whether a card has been reported lost, stolen or replaced" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build --chown=65532:65532 /out/var/lib/lostcard /var/lib/lostcard
# For a volume or a secret of keys (LOSTCARD_KEYS=/keys): a new volume takes over this folder's owner.
COPY --from=build --chown=65532:65532 /out/keys /keys
COPY --from=build /out/usr/local/bin/lostcard /usr/local/bin/lostcard
# The keys lie beside the data unless told otherwise. In production point LOSTCARD_KEYS at a mounted
# secret: a copy of the data volume must not hold the keys that open it.
ENV LOSTCARD_DATA=/var/lib/lostcard \
    LOSTCARD_KEYS=/var/lib/lostcard/keys \
    LOSTCARD_LISTEN=0.0.0.0:8080
VOLUME ["/var/lib/lostcard"]
EXPOSE 8080
# No shell and no curl to run a check with, and one probe cannot serve two questions: let the
# orchestrator ask GET /health/live (restart?) and GET /health/ready (send traffic?).
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/lostcard"]
CMD ["serve"]
