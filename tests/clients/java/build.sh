# shellcheck shell=bash
# The steps that both Java clients share. Nothing comes from Maven Central: the libraries are Debian's and the generator's own.

# generate TOOLS LIBRARY: the client's sources in TOOLS/generated.
generate() {
    local options=invokerPackage=lostcard,apiPackage=lostcard.api,modelPackage=lostcard.model
    # disallowAdditionalPropertiesIfNotPresent=false: a member that an answer gains later breaks no client.
    options+=,openApiNullable=false,dateLibrary=java8,disallowAdditionalPropertiesIfNotPresent=false
    rm -rf "$1/generated" "$1/classes"
    "$1/python/bin/openapi-generator-cli" generate --generator-name java --library "$2" --additional-properties "$options" \
        --global-property apiTests=false,modelTests=false,apiDocs=false,modelDocs=false \
        --input-spec "$here/../../../openapi/lostcard-3.0.json" --output "$1/generated" >"$1/generated.txt" 2>&1 ||
        { cat "$1/generated.txt"; exit 1; }
}

# compile TOOLS CLASS_PATH RELEASE FOLDER...: the client and the shims of these folders for that Java, then the program (of Java 11: it verifies
# Ed25519), to TOOLS/classes.
compile() {
    local client program
    mapfile -t client < <(find "$1/generated/src/main" "${@:4}" -mindepth 2 -name '*.java')
    mapfile -t program < <(find "${@:4}" -maxdepth 1 -name '*.java')
    javac -nowarn -proc:none --release "$3" -d "$1/classes" -cp "$2" "${client[@]}" 2>"$1/javac.txt" &&
        javac -nowarn -proc:none --release 11 -d "$1/classes" -cp "$1/classes:$2" "${program[@]}" 2>"$1/javac.txt" ||
        { cat "$1/javac.txt" >&2; exit 1; }
}
