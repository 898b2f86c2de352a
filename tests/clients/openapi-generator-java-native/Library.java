// What is special to openapi-generator's library `native`: the JDK's HTTP client and Jackson.

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.Map;
import lostcard.ApiClient;
import lostcard.ApiException;
import lostcard.model.CheckRequest;
import lostcard.model.Problem;

final class Library {
    private static final ObjectMapper MAPPER = ApiClient.createDefaultObjectMapper();

    private Library() {}

    /** The generated client takes no token by itself: an interceptor sends it. */
    static ApiClient client(String baseUrl, String token) {
        ApiClient client = new ApiClient();
        client.updateBaseUri(baseUrl);
        client.setConnectTimeout(Duration.ofSeconds(1));
        client.setReadTimeout(Duration.ofSeconds(10));
        if (token != null) {
            client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
        }
        return client;
    }

    static Problem problem(ApiException refusal) {
        return read(refusal.getResponseBody(), Problem.class);
    }

    static String header(ApiException refusal, String name) {
        return refusal.getResponseHeaders().firstValue(name).orElseThrow(IllegalStateException::new);
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> item(CheckRequest check) {
        return MAPPER.convertValue(check, Map.class);
    }

    static <T> T read(String text, Class<T> as) {
        try {
            return MAPPER.readValue(text, as);
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }

    static String write(Object value) {
        try {
            return MAPPER.writeValueAsString(value);
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }
}
