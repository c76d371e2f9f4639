/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS with the device key, as a Java program does it: SunPKCS11 and HttpsURLConnection. Only stock classes.
 *
 * java HttpsWithDeviceKey.java CONFIGURATION PORT, where the configuration is SunPKCS11's file, or its text after
 * "--". Told on stdin what to do, line by line,
 *
 *   providers           how many there are, all of them loaded
 *   open [PIN]          what is in the key store
 *   get VERSION FILE    the page of https://localhost:PORT/ by that version of TLS, into the file; without a
 *                       certificate unless the key store was opened
 *
 * and it answers each line with one: "done ..." or the exception. One process does everything, since starting
 * it costs more than all its connections.
 */
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.KeyStore;
import java.security.Provider;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.util.Collections;
import java.util.TreeSet;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class HttpsWithDeviceKey {
    private final String configuration;
    private final String port;
    private Provider provider;
    private KeyStore keys;

    private HttpsWithDeviceKey(String configuration, String port) {
        this.configuration = configuration;
        this.port = port;
    }

    public static void main(String[] arguments) throws Exception {
        HttpsWithDeviceKey program = new HttpsWithDeviceKey(arguments[0], arguments[1]);
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        String order;

        while ((order = orders.readLine()) != null) {
            String answer;

            try {
                answer = "done " + program.obey(order.split(" ", 2));
            } catch (Exception e) {
                answer = reasons(e);
            }
            System.out.println(answer);
        }
    }

    private static String reasons(Throwable e) {
        StringBuilder text = new StringBuilder();

        for (; e != null; e = e.getCause()) {
            text.append(text.length() == 0 ? "" : ": ").append(e);
        }
        return text.toString();
    }

    private String obey(String[] order) throws Exception {
        switch (order[0]) {
            case "providers":
                return Security.getProviders().length + " providers";
            case "open":
                return open(order.length > 1 ? order[1].toCharArray() : null);
            case "get":
                return get(order[1].split(" ")[0], order[1].split(" ")[1]);
            default:
                throw new IllegalArgumentException(order[0]);
        }
    }

    /* The aliases of the key store, and which of them have a key. */
    private String open(char[] pin) throws Exception {
        StringBuilder entries = new StringBuilder();

        if (provider == null) {
            provider = Security.getProvider("SunPKCS11").configure(configuration);
            /* TLS looks for somebody who can sign with a key among these, and in no KeyStore. */
            Security.addProvider(provider);
        }
        keys = KeyStore.getInstance("PKCS11", provider);
        keys.load(null, pin);
        for (String alias : new TreeSet<>(Collections.list(keys.aliases()))) {
            entries.append(keys.isKeyEntry(alias) ? "key:" : "certificate:").append(alias).append(' ');
        }
        return entries.toString().trim();
    }

    /* A context of its own, or the session would be resumed and nothing signed. */
    private String get(String version, String file) throws Exception {
        KeyManagerFactory ours = KeyManagerFactory.getInstance("SunX509");
        TrustManagerFactory theirs = TrustManagerFactory.getInstance("PKIX");
        KeyStore roots = KeyStore.getInstance(KeyStore.getDefaultType());
        SSLContext context = SSLContext.getInstance("TLSv" + version);

        roots.load(null, null);
        try (InputStream root = new FileInputStream("hub-ca.pem")) {
            roots.setCertificateEntry("hub", CertificateFactory.getInstance("X.509").generateCertificate(root));
        }
        ours.init(keys, null);
        theirs.init(roots);
        context.init(ours.getKeyManagers(), theirs.getTrustManagers(), null);

        HttpsURLConnection connection =
            (HttpsURLConnection) new URL("https://localhost:" + port + "/").openConnection();
        connection.setSSLSocketFactory(context.getSocketFactory());
        try (InputStream page = connection.getInputStream()) {
            String suite = connection.getCipherSuite();

            Files.copy(page, Path.of(file), StandardCopyOption.REPLACE_EXISTING);
            return suite;
        }
    }
}
