// A QR code before the camera. The picture stays in the page; the camera is off as soon as a code is read or nobody waits.

import { readQr } from "./qr.js";

const pauseMs = 150;

/** Shows the camera in `video` until a code is read, which it gives, or until `signal` ends it (null). Throws where there is no camera. */
export async function scan(video, signal) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
  try {
    video.srcObject = stream;
    await video.play();
    while (!signal.aborted) {
      const text = video.videoWidth > 0 ? await readQr(video) : null;
      if (text) return text;
      await new Promise((resume) => setTimeout(resume, pauseMs));
    }
    return null;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }
}
