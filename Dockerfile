# The operator's image: one static program and nothing else, so nothing is pulled to build it.
# "make image" compiles the program, and has only bin/image sent to the builder.
FROM scratch
COPY operator /operator
# The same as in config/manager/deployment.yaml, for those who run it without.
USER 65532:65532
ENTRYPOINT ["/operator"]
