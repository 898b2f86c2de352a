// Imported by the generated `JSON`, and used by nothing: see GsonFireBuilder.

package io.gsonfire;

public interface TypeSelector<T> {}
