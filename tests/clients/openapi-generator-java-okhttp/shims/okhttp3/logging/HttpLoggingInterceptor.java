// Debian packages okhttp without its logging interceptor, which the generated client adds in `setDebugging(true)` alone.

package okhttp3.logging;

import java.io.IOException;
import okhttp3.Interceptor;
import okhttp3.Response;

public final class HttpLoggingInterceptor implements Interceptor {
    public enum Level {
        BODY
    }

    public void setLevel(Level level) {
        throw new UnsupportedOperationException("no logging of bodies: they hold identity numbers");
    }

    @Override
    public Response intercept(Chain chain) throws IOException {
        return chain.proceed(chain.request());
    }
}
