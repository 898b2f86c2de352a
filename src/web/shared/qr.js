// QR codes: read by the browser's own BarcodeDetector where it reads QR, else by the vendored reader; drawn by the vendored writer.
// Each library is fetched when it is needed. Pictures stay in the page.

// A photo of a telephone is larger than a code needs.
const sideMax = 2000;

/** The text of the first code in a picture (a File, Blob, or what a canvas draws), or null. */
export async function readQr(picture) {
  const image = picture instanceof Blob ? await createImageBitmap(picture) : picture;
  return (await readByBrowser(image)) ?? (await readByLibrary(image));
}

async function readByBrowser(image) {
  try {
    const kinds = await globalThis.BarcodeDetector?.getSupportedFormats();
    if (!kinds?.includes("qr_code")) return null;
    const [found] = await new BarcodeDetector({ formats: ["qr_code"] }).detect(image);
    return found?.rawValue || null;
  } catch {
    return null;
  }
}

async function readByLibrary(image) {
  const { decodeQR } = await import("./qr-decode.min.js");
  const [wide, high] = [image.videoWidth || image.width, image.videoHeight || image.height];
  const scale = Math.min(1, sideMax / Math.max(wide, high));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.max(1, Math.round(wide * scale)), Math.max(1, Math.round(high * scale))];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  try {
    return decodeQR(context.getImageData(0, 0, canvas.width, canvas.height)) || null;
  } catch {
    return null;
  }
}

/** A code as an SVG element with a name for who cannot see it. */
export async function drawQr(text, name) {
  const { encodeQR } = await import("./qr-encode.min.js");
  const rows = encodeQR(text, "raw", { ecc: "low", border: 4 });
  const path = rows.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const put = (tag, attributes) => {
    const element = document.createElementNS(space, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    svg.append(element);
  };
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${rows.length} ${rows.length}`, role: "img", "aria-label": name })) {
    svg.setAttribute(key, value);
  }
  svg.classList.add("qr");
  put("rect", { width: rows.length, height: rows.length, fill: "#fff" });
  put("path", { d: path, fill: "#000", "shape-rendering": "crispEdges" });
  return svg;
}
