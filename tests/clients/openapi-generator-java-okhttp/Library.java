// What is special to openapi-generator's library `okhttp-gson`.

import java.util.List;
import java.util.Map;
import lostcard.ApiClient;
import lostcard.ApiException;
import lostcard.JSON;
import lostcard.model.CheckRequest;
import lostcard.model.Problem;

final class Library {
    private Library() {}

    static ApiClient client(String baseUrl, String token) {
        ApiClient client = new ApiClient();
        client.setBasePath(baseUrl);
        client.setConnectTimeout(1_000);
        client.setReadTimeout(10_000);
        if (token != null) {
            client.setBearerToken(token);
        }
        return client;
    }

    static Problem problem(ApiException refusal) {
        return read(refusal.getResponseBody(), Problem.class);
    }

    /** Names of headers are as sent. */
    static String header(ApiException refusal, String name) {
        for (Map.Entry<String, List<String>> header : refusal.getResponseHeaders().entrySet()) {
            if (header.getKey().equalsIgnoreCase(name)) {
                return header.getValue().get(0);
            }
        }
        throw new IllegalStateException("no header " + name);
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> item(CheckRequest check) {
        return read(write(check), Map.class);
    }

    static <T> T read(String text, Class<T> as) {
        return JSON.getGson().fromJson(text, as);
    }

    static String write(Object value) {
        return JSON.getGson().toJson(value);
    }
}
