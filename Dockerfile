# docs/operations.md says how to run the image.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "-X main.version=${VERSION}" -o /out/grapevine ./cmd/grapevine
RUN mkdir /out/data

# The program needs the authorities that receivers' certificates are checked
# against, and a folder that it may write to.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/grapevine /grapevine
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV GRAPEVINE_DATABASE=sqlite:/data/grapevine.db GRAPEVINE_LISTEN=0.0.0.0:8080
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["/grapevine"]
CMD ["serve"]
