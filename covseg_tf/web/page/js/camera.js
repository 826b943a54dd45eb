/**
 * A picture of a film from the device's camera.
 * @module
 */

import {readDrawn} from './decode.js';

const REASONS = {
  NotFoundError: 'There is no camera.',
  NotAllowedError: 'The camera was not allowed.',
  NotReadableError: 'The camera is in use by another program.',
};

/** The dialog that shows what the camera sees. */
export class Camera {
  #dialog = document.getElementById('camera');
  #video = document.getElementById('video');
  #take = document.getElementById('take');

  /** @param {(image: import('./grey.js').Grey) => void} onPicture Takes each picture. */
  constructor(onPicture) {
    this.#take.addEventListener('click', () => {
      const {videoHeight, videoWidth} = this.#video;
      // That it is a camera's is known, whatever its colours.
      onPicture({...readDrawn(this.#video, videoHeight, videoWidth), notes: []});
      this.#dialog.close();
    });
    const close = document.getElementById('close-camera');
    close.addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('close', () => this.#stop());
  }

  /**
   * Asks for the camera and opens the dialog.
   * @returns {Promise<void>}
   * @throws {Error} If there is none or it is not allowed, in words.
   */
  async open() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error('This browser gives no camera here.');
    }
    try {
      const ideal = {facingMode: 'environment', width: {ideal: 1920}};
      this.#video.srcObject = await navigator.mediaDevices.getUserMedia({video: ideal});
    } catch (error) {
      throw new Error(REASONS[error.name] ?? 'The camera cannot be used.');
    }
    // Until there is a picture: a press would take nothing, and say nothing.
    this.#take.disabled = true;
    this.#dialog.showModal();
    try {
      await this.#video.play();
    } catch (error) {
      if (!this.#dialog.open) return; // Closed while the camera started.
      throw error;
    }
    this.#take.disabled = false;
    this.#take.focus();
  }

  #stop() {
    this.#video.srcObject?.getTracks().forEach((track) => track.stop());
    this.#video.srcObject = null;
  }
}
