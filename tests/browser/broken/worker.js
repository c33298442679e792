const fault = location.hash.slice(1);
if (fault === 'worker-console') console.error('broken');
if (fault === 'worker-throw') setTimeout(() => { throw new Error('broken'); });
if (fault === 'worker-reject') Promise.reject(new Error('broken'));
if (fault === 'worker-missing') fetch('broken.json');
