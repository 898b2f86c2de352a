// gson-fire is not in Debian. The generated `JSON` asks it for a plain builder and registers no selector of subtypes: the document has
// no `oneOf`. This does the same.

package io.gsonfire;

import com.google.gson.GsonBuilder;

public final class GsonFireBuilder {
    public GsonBuilder createGsonBuilder() {
        return new GsonBuilder();
    }
}
